import OpenAIWire

/// A session's active messages without their bodies: all that planning compares and counts.
package struct HistoryOutline: Sendable, Equatable {
    /// In order of `seq`: all active messages, or the newest of them, from the beginning of a turn.
    package var entries: [MessageOutline]
    /// How many active messages there are, those that `entries` leaves out included.
    package var activeCount: Int
    /// The session's `nextSeq` when it was read: what everything below is known of.
    package var nextSeq: Int64
    /// The newest turn, by which a repeated request is recognised.
    package var lastTurn: LastTurn?

    /// A session without messages.
    package static let empty = HistoryOutline(entries: [], activeCount: 0, nextSeq: 1, lastTurn: nil)

    package init(entries: [MessageOutline], activeCount: Int, nextSeq: Int64, lastTurn: LastTurn?) {
        precondition(activeCount >= entries.count, "An outline lists no more messages than there are.")
        self.entries = entries
        self.activeCount = activeCount
        self.nextSeq = nextSeq
        self.lastTurn = lastTurn
    }

    /// Whether it lists every active message, as comparing needs.
    package var isComplete: Bool { entries.count == activeCount }

    /// How many active messages are older than the first entry.
    var unlistedCount: Int { activeCount - entries.count }

    /// The outline as it was before `turn`, the newest one.
    func before(_ turn: LastTurn) -> HistoryOutline {
        var earlier = self
        earlier.entries.removeAll { $0.seq >= turn.firstSeq }
        earlier.activeCount -= entries.count - earlier.entries.count
        earlier.nextSeq = turn.baseSeq
        earlier.lastTurn = nil
        return earlier
    }

    /// Whether the entry at `index` is the first of its turn.
    func beginsTurn(_ index: Int) -> Bool {
        index == 0 || entries[index - 1].turnID != entries[index].turnID
    }

    /// Whether a history may begin with the entry at `index`: at a turn that does not answer an earlier tool call.
    func mayBegin(_ index: Int) -> Bool {
        beginsTurn(index) && (!entries[index].role.answersCall || (index == 0 && isComplete))
    }
}

extension MessageOutline {
    /// Whether it says the same as a message of a request. Digests of other rules than today's equal none.
    func says(_ message: IncomingTurn.Message) -> Bool {
        digestVersion == Int(MessageDigest.version) && digest == message.digest
    }
}

extension MessageRole {
    /// Whether such a message is the result of a call that an earlier assistant message made.
    var answersCall: Bool { self == .tool || self == .function }
}
