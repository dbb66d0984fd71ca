/// Where the history of a session is read from: the database, or what this process holds of it in memory.
///
/// Planning knows no more of storage than this. Two answers may come from different states of the session, unless the
/// implementation is a snapshot; `Session.version` tells.
package protocol HistoryReading {
    /// What was read until now is dropped, and read again: gives back what it was counted by.
    func startOver()

    /// The session as it is now; nil if it does not exist or was deleted.
    func session(_ key: SessionKey) throws -> Session?

    /// The newest active messages, oldest first: whole turns, as many as `limit` messages allow. The newest turn is
    /// given whole even if it is longer. A part of what is in memory is not copied.
    ///
    /// - Parameter start: Nothing before this seq is given.
    func newestRun(_ limit: Int, of key: SessionKey, from start: Int64) throws -> ArraySlice<StoredMessage>

    /// The active messages of a range without their bodies.
    func outlines(of key: SessionKey, in seqs: Range<Int64>, order: MessageOrder) throws -> [MessageOutline]

    /// The active messages of a range, oldest first.
    func messages(of key: SessionKey, in seqs: Range<Int64>) throws -> [StoredMessage]

    /// The system and developer messages that were seen last.
    func system(_ key: SessionKey) throws -> SystemMessages?
}

extension HistoryReading {
    /// For what counts nothing.
    package func startOver() {}

    package func newestRun(_ limit: Int, of key: SessionKey) throws -> ArraySlice<StoredMessage> {
        try newestRun(limit, of: key, from: 0)
    }

    package func outlines(of key: SessionKey, in seqs: Range<Int64>) throws -> [MessageOutline] {
        try outlines(of: key, in: seqs, order: .oldestFirst)
    }
}

extension ConversationReader: HistoryReading {
    package func newestRun(_ limit: Int, of key: SessionKey, from start: Int64) throws -> ArraySlice<StoredMessage> {
        try newest(limit, of: key, from: start)[...]
    }
}
