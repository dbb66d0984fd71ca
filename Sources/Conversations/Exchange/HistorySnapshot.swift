import NIOCore

/// What was read of a session for one request: enough to build the messages for every target that it may go to.
struct HistorySnapshot: Sendable {
    /// The plan as far as messages are counted; tokens are another matter for each target.
    var plan: HistoryPlan
    /// The stored messages that may go in front, oldest first: what the limit on messages leaves.
    var stored = StoredRun()
    /// The calls of tools among them; nil where all are shown as they are stored. None of them is partial then.
    private(set) var rounds: ToolRounds?
    /// How a model sees all of them again, where `rounds` is there.
    private(set) var replayed: ReplayedMessages?
    /// The session's instructions, where the plan says so.
    var instructions: [ByteBuffer] = []
    /// Where the last cut left the history.
    var contextStart: Int64 = 0
    /// The session's newest turn that the plan knows; `nil` where the session could not be read.
    var knownTurn: KnownTurn?

    /// The same, with stored messages that are nobody else's.
    var copied: HistorySnapshot {
        var copy = self
        copy.stored = stored.copied
        return copy
    }

    init(plan: HistoryPlan, stored: StoredRun = StoredRun()) {
        self.plan = plan
        self.stored = stored
    }

    /// Notes which calls are answered, and where.
    mutating func show(_ rounds: ToolRounds?) {
        self.rounds = rounds
        replayed = rounds?.replayed()
    }

    /// How a model sees the messages from `start` on again; nil: as they are stored.
    func replayed(from start: Int) -> ReplayedMessages? { start == 0 ? replayed : rounds?.replayed(from: start) }

    /// Whether a history may begin with the stored message at `index`: see `HistoryOutline.mayBegin`.
    func mayBegin(_ index: Int) -> Bool {
        stored.withMessages { Self.mayBegin(index, $0) }
    }

    static func mayBegin(_ index: Int, _ stored: UnsafeBufferPointer<StoredMessage>) -> Bool {
        guard index > 0 else { return true }
        return stored[index - 1].outline.turnID != stored[index].outline.turnID
            && !stored[index].outline.role.answersCall
    }
}

/// Stored messages that follow each other, counted from 0. They may be a part of what memory holds of the session, which
/// is not copied for that.
struct StoredRun: Sendable, RandomAccessCollection {
    private var messages: ArraySlice<StoredMessage>

    init(_ messages: ArraySlice<StoredMessage> = []) { self.messages = messages }

    var startIndex: Int { 0 }
    var endIndex: Int { messages.count }

    subscript(index: Int) -> StoredMessage {
        _read { yield messages[messages.startIndex + index] }
    }

    /// Gives the messages where they lie, to loops that look at one field of each: an element that is taken out is copied.
    func withMessages<Result>(_ body: (UnsafeBufferPointer<StoredMessage>) throws -> Result) rethrows -> Result {
        try messages.withUnsafeBufferPointer(body)
    }

    /// The messages without their bodies.
    var outlines: [MessageOutline] {
        withMessages { messages in
            var outlines: [MessageOutline] = []
            outlines.reserveCapacity(messages.count)
            for index in messages.indices { outlines.append(messages[index].outline) }
            return outlines
        }
    }

    /// The same messages by themselves: for whoever keeps them longer than memory may.
    var copied: StoredRun { StoredRun(Array(messages)[...]) }

    mutating func append(_ message: StoredMessage) { messages.append(message) }
}
