public import Persistence

/// What is done with whole sessions, and what users think of them.
extension ConversationStore {
    /// Stores turns of any sessions in one transaction: all of them, or none.
    ///
    /// For what is imported: it does not wait in the lane of the exchanges.
    /// - Throws: `unavailable` while turns of one of the sessions wait in the spool: they come first.
    public func append(all turns: [TurnDraft]) async throws -> [AppendOutcome] {
        for turn in turns { try turn.validate() }
        for turn in turns { try checkIsStored(turn.key) }
        defer { for turn in turns { cache.drop(turn.key) } }
        return try await database.write { [now] in try TurnBatch.append(turns, $0, at: now()) }
    }

    /// Refuses what must not overtake turns of the session that are still to be stored.
    func checkIsStored(_ key: SessionKey) throws(DatabaseError) {
        guard durability?.spool.holds(key) ?? false else { return }
        throw DatabaseError(.unavailable, "turns of the session wait in the spool")
    }

    /// Makes a deleted session active again, with the names it had where they are still free.
    ///
    /// - Returns: The session; nil if there is no deleted session with this key.
    public func restore(_ key: SessionKey) async throws -> Session? {
        defer { cache.drop(key) }
        return try await database.write { [now] in try SessionRemoval.restore(key, $0, at: now()) }
    }

    /// Deletes what has expired of a user, so that the counters of its lists are right. Where nothing has, it costs one
    /// look into an index.
    public func expire(_ owner: UniqueID) async throws {
        let hasExpired = try await database.read { [now] connection in
            try connection.first(ConversationSQL.expired(of: owner, at: now(), limit: 1)) { _ in true } ?? false
        }
        guard hasExpired else { return }
        try await database.write { [now] in try SessionRemoval.expire(owner, $0, at: now()) }
    }

    /// Stores what the user thinks; what it thought of the same before is replaced.
    ///
    /// - Returns: What is stored now; nil if the session has no such message.
    public func set(_ feedback: Feedback, on key: SessionKey) async throws -> Feedback? {
        if let comment = feedback.comment, comment.utf8.count > 10_000 {
            throw ConversationError.invalid("the comment has more than 10000 bytes")
        }
        return try await database.write { connection in
            let seq = feedback.seq ?? 0
            if seq != 0, try connection.first(ConversationSQL.message(key, seq: seq), { _ in true }) == nil {
                return nil
            }
            try connection.execute(ConversationSQL.setFeedback(feedback, on: key, connection.dialect))
            return try connection.first(ConversationSQL.feedback(key, seq: seq), ConversationSQL.feedback)
        }
    }

    /// Takes back what the user thought of a message, or of the session as a whole.
    public func removeFeedback(of key: SessionKey, seq: Int64?) async throws -> DeletionOutcome {
        try await database.write { connection in
            let sql = ConversationSQL.removeFeedback(key, seq: seq ?? 0)
            return try connection.execute(sql) > 0 ? .deleted : .notFound
        }
    }

    /// Removes everything of a user: sessions that are deleted already too, and what waits in the spool. Sessions that
    /// are made meanwhile go with it.
    ///
    /// It works in transactions of a few sessions each: one that fails leaves the rest for the next call.
    public func erase(_ owner: UniqueID) async throws -> Erasure {
        var erasure = Erasure()
        while true {
            let removed = try await database.write { connection in
                let some = ConversationSQL.some(of: owner, limit: SessionRemoval.batch)
                let ids = try connection.rows(some) { try $0.value(0, as: UniqueID.self) }
                for id in ids { _ = try SessionRemoval.purge(SessionKey(owner: owner, session: id), connection) }
                return ids.count
            }
            erasure.sessions += removed
            guard removed > 0 else { break }
        }
        try await database.write { connection in
            for table in SessionRemoval.tablesOfUsers {
                try connection.execute(ConversationSQL.forget(owner, in: table))
            }
        }
        await discard(owner: owner)
        return erasure
    }
}
