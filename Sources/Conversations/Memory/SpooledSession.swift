import Persistence
import Synchronization

/// A session as the database has it at one version, and then with the turns behind it that wait in the spool.
///
/// A reference: async functions hold a word of it.
final class SpooledSession: Sendable {
    private let state: Mutex<SessionSnapshot>
    /// Which of the turns that waited are stored.
    let stored: Set<UniqueID>

    /// Reads what is stored, without bodies. Nil if there is no such session.
    ///
    /// - Parameter turns: that waited when the reading began.
    init?(_ key: SessionKey, _ turns: [UniqueID], _ reader: ConversationReader) throws {
        guard let session = try reader.session(key) else { return nil }
        let outlines = try reader.outlines(of: key)
        let system = try reader.system(key)
        stored = try reader.stored(turns, of: key)
        guard try reader.session(key)?.version == session.version else {
            throw DatabaseError(.retryTransaction, "the session was written to meanwhile")
        }
        state = Mutex(SessionSnapshot(session, outlines: outlines, isComplete: true, bodies: [], system: system))
    }

    /// With the turns that were appended.
    var snapshot: SessionSnapshot { state.withLock { $0 } }

    /// Appends the next turn that waits.
    ///
    /// - Parameters:
    ///   - answer: of the spool.
    ///   - limit: how many bytes of bodies are kept, of the newest.
    /// - Returns: False if the turn waits no more: it was stored since the reading, and is in neither of the two.
    func append(_ answer: FirstAnswer<TurnDraft?>, at time: Timestamp, limit: Int) throws -> Bool {
        guard let turn = try answer.take() else { return false }
        try state.withLock { snapshot in
            try snapshot.append(turn, at: time)
            snapshot.shorten(to: limit)
        }
        return true
    }
}

extension ConversationReader {
    /// Which of these turns are stored.
    fileprivate func stored(_ turns: [UniqueID], of key: SessionKey) throws -> Set<UniqueID> {
        var stored: Set<UniqueID> = []
        for chunk in turns.chunks(ConversationSQL.lookupSize(connection.dialect)) {
            stored.formUnion(try connection.rows(ConversationSQL.stored(chunk.map { (key, $0) })) { try $0.value(2) })
        }
        return stored
    }
}
