/// Which of the stored messages go in front of a request.
///
/// The newest `maxMessages`, rounded down so that the history begins with a turn; a single turn that is longer stays
/// whole. A turn that answers the tool calls of the one before it belongs to that one: a call and its results are
/// never separated.
struct HistoryWindow: Equatable {
    /// Indices into the outline's entries; empty when nothing is injected.
    let injected: Range<Int>
    /// How many active messages the limit leaves out.
    let dropped: Int

    /// - Parameters:
    ///   - end: the index from which on the client sent the messages itself.
    ///   - continuesRound: whether what follows `end` begins with a tool's result, so that its call has to be there.
    init(_ outline: HistoryOutline, upTo end: Int, maxMessages: Int, continuesRound: Bool) {
        let count = outline.entries.count
        var start = (max(0, count - maxMessages)..<count).first { outline.mayBegin($0) } ?? count
        if start == count, maxMessages > 0 { start = Self.lastBeginning(outline, before: count) }
        if continuesRound { start = min(start, Self.lastBeginning(outline, before: end)) }
        injected = min(start, end)..<end
        dropped = outline.unlistedCount + injected.lowerBound
    }

    private static func lastBeginning(_ outline: HistoryOutline, before end: Int) -> Int {
        (0..<end).last { outline.mayBegin($0) } ?? 0
    }

    /// Whether `outline` lists enough to place any window of up to `maxMessages`: all of them, and a beginning.
    static func isDecided(by outline: HistoryOutline) -> Bool {
        outline.isComplete || outline.entries.indices.contains { outline.mayBegin($0) }
    }
}
