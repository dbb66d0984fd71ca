import NIOCore

/// What was read of a session for one request: enough to build the messages for every target that it may go to.
struct HistorySnapshot: Sendable {
    /// The plan as far as messages are counted; tokens are another matter for each target.
    var plan: HistoryPlan
    /// The stored messages that may go in front, oldest first: what the limit on messages leaves.
    var stored = StoredRun()
    /// Their bodies as a model sees them again, `nil` for what is left out. Nil: as they are stored, all of them.
    /// None of them is partial then.
    var replayed: [ByteBuffer?]?
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

    /// The body of the stored message at `index` as a model sees it again; nil where it is left out.
    func body(_ index: Int) -> ByteBuffer? {
        if let replayed { replayed[index] } else { stored[index].body }
    }

    /// Whether the stored message at `index` goes in front, in whatever form.
    func isReplayed(_ index: Int) -> Bool {
        if let replayed { replayed[index] != nil } else { true }
    }

    /// Whether a history may begin with the stored message at `index`: see `HistoryOutline.mayBegin`.
    func mayBegin(_ index: Int) -> Bool {
        guard index > 0 else { return true }
        let (messages, place) = (stored.messages, stored.messages.startIndex + index)
        return messages[place - 1].outline.turnID != messages[place].outline.turnID
            && !messages[place].outline.role.answersCall
    }
}

/// Stored messages that follow each other, counted from 0. They may be a part of what memory holds of the session, which
/// is not copied for that.
struct StoredRun: Sendable, RandomAccessCollection {
    /// The same with the indices that they have in memory: for loops that look at one field of each.
    private(set) var messages: ArraySlice<StoredMessage>

    init(_ messages: ArraySlice<StoredMessage> = []) { self.messages = messages }

    var startIndex: Int { 0 }
    var endIndex: Int { messages.count }

    subscript(index: Int) -> StoredMessage {
        _read { yield messages[messages.startIndex + index] }
    }

    /// The same messages by themselves: for whoever keeps them longer than memory may.
    var copied: StoredRun { StoredRun(Array(messages)[...]) }

    mutating func append(_ message: StoredMessage) { messages.append(message) }
}
