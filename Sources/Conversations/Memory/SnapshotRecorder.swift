import Persistence

/// Passes a reader's answers on, and makes a snapshot of them: what one exchange needed, the next one will need too.
final class SnapshotRecorder: HistoryReading {
    private let reader: any HistoryReading
    private var session: Session
    private var outlines: [MessageOutline] = []
    private var isComplete = false
    private var bodies: [StoredMessage] = []
    private var system: SystemMessages?
    /// Whether the session was seen unchanged behind the last answer.
    private var isConfirmed = false

    /// - Parameter session: as it was read before.
    init(_ reader: any HistoryReading, _ session: Session) {
        self.reader = reader
        self.session = session
    }

    /// What was read of one version; nil where nobody looked whether the version was still the same afterwards.
    var snapshot: SessionSnapshot? {
        guard isConfirmed else { return nil }
        let isAll = isComplete || Int64(outlines.count) == session.counters.messages
        return SessionSnapshot(
            session, outlines: outlines, isComplete: isAll, bodies: bodies, system: system)
    }

    func startOver() { reader.startOver() }

    func session(_ key: SessionKey) throws -> Session? {
        guard let now = try reader.session(key) else {
            isConfirmed = false
            return nil
        }
        if now.version != session.version { (outlines, isComplete, bodies, system) = ([], false, [], nil) }
        isConfirmed = now.version == session.version
        session = now
        return now
    }

    func newestRun(_ limit: Int, of key: SessionKey, from start: Int64) throws -> ArraySlice<StoredMessage> {
        let messages = try reader.newestRun(limit, of: key, from: start)
        if messages.count > outlines.count, !isComplete { outlines = messages.map(\.outline) }
        bodies += messages
        return messages
    }

    func outlines(of key: SessionKey, in seqs: Range<Int64>, order: MessageOrder) throws -> [MessageOutline] {
        let found = try reader.outlines(of: key, in: seqs, order: order)
        if seqs.upperBound >= session.nextSeq, found.count >= outlines.count {
            outlines = order == .oldestFirst ? found : found.reversed()
            isComplete = seqs.lowerBound <= 1
        }
        return found
    }

    func messages(of key: SessionKey, in seqs: Range<Int64>) throws -> [StoredMessage] {
        let messages = try reader.messages(of: key, in: seqs)
        bodies += messages
        return messages
    }

    func system(_ key: SessionKey) throws -> SystemMessages? {
        let found = try reader.system(key)
        system = found?.digest == session.systemDigest ? found : nil
        return found
    }
}
