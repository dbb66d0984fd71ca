public import Persistence

/// What is done with whole sessions, and what users think of them.
extension ConversationStore {
    /// Stores turns of any sessions in one transaction: all of them, or none.
    ///
    /// For what no exchange says: it does not wait in the lane of the exchanges.
    /// - Parameter limits: Checked in the transaction, so that callers who come at once do not pass together.
    /// - Throws: `unavailable` while turns of one of the sessions wait in the spool: they come first.
    public func append(all turns: [TurnDraft], within limits: MessageLimits = MessageLimits()) async throws
        -> [AppendOutcome]
    {
        for turn in turns { try turn.validate() }
        for turn in turns { try checkIsStored(turn.key) }
        let bytes = turns.reduce(0) { $0 + $1.byteCount }
        return try await write(changing: .sessions(turns.map(\.key)), bytes: bytes) { [now, holds] in
            try TurnBatch.append(turns, $0, at: now(), within: (limits, beside: holds))
        }
    }

    /// Refuses what must not overtake turns of the session that are still to be stored.
    func checkIsStored(_ key: SessionKey) throws(DatabaseError) {
        guard durability?.spool.holds(key) ?? false else { return }
        throw DatabaseError(.unavailable, "turns of the session wait in the spool")
    }

    /// Makes a deleted session active again, with the names it had where they are still free.
    ///
    /// - Parameter maximum: How many sessions its user may have with this one; nil: any number.
    /// - Returns: The session; nil if there is no deleted session with this key.
    public func restore(_ key: SessionKey, maximum: Int? = nil) async throws -> Session? {
        try await write(changing: .session(key)) { [now, moment] connection in
            var sums: SessionSums.Changes = []
            guard let session = try SessionRemoval.restore(key, connection, at: now(), &sums) else { return nil }
            // It is counted by now.
            if let maximum, try SessionCreation.isFull(key.owner, maximum + 1, connection, at: moment(), &sums) {
                throw ConversationError.tooManySessions(limit: maximum)
            }
            try SessionSums.add(sums, connection)
            return session
        }
    }

    /// Deletes what has expired of a user, so that the counters of its lists are right. Where nothing has, it costs one
    /// look into an index.
    public func expire(_ owner: UniqueID) async throws {
        if try await hasExpired(owner) { try await expireAll(owner) }
    }

    /// The same before lists and sums, which go on with what the database reads while it takes nothing.
    public func expireIfPossible(_ owner: UniqueID) async throws {
        guard try await hasExpired(owner) else { return }
        do { try await expireAll(owner) } catch let error as DatabaseError where error.isOutage {}
    }

    private func hasExpired(_ owner: UniqueID) async throws -> Bool {
        try await read { [now] reader in
            let query = ConversationSQL.expired(of: owner, at: now(), limit: 1)
            return try reader.connection.first(query) { _ in true } ?? false
        }
    }

    private func expireAll(_ owner: UniqueID) async throws {
        let step: @Sendable (any Connection) throws -> SessionRemoval.Progress = { [moment] connection in
            var sums: SessionSums.Changes = []
            let progress = try SessionRemoval.expireSome(of: owner, connection, at: moment(), &sums)
            try SessionSums.add(sums, connection)
            return progress
        }
        while try await write(step) == .more {}
    }

    /// Stores what the user thinks; what it thought of the same before is replaced.
    ///
    /// - Returns: What is stored now; nil if the session has no such message.
    public func set(_ feedback: Feedback, on key: SessionKey) async throws -> Feedback? {
        try feedback.validate()
        return try await write { connection in
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
        try await write { connection in
            let sql = ConversationSQL.removeFeedback(key, seq: seq ?? 0)
            return try connection.execute(sql) > 0 ? .deleted : .notFound
        }
    }

    /// Removes everything of a user: sessions that are deleted already too, and what waits of them in the spool. Sessions
    /// that are made meanwhile go with it, for as long as the user does not go on making them.
    ///
    /// First all sessions are condemned, then their rows go, in transactions that hold no lock for long. A call that does
    /// not get to its end leaves the rest to the next one; rows of condemned sessions also go by ``SessionPurge``.
    public func erase(_ owner: UniqueID) async throws -> Erasure {
        var erased: Set<SessionKey> = []
        for _ in 0..<Self.erasingRounds {
            while case let keys = try await write(
                changing: .user(owner), { try SessionRemoval.condemnSome(of: owner, $0) }), !keys.isEmpty
            {
                await discard(sessions: Set(keys))
                erased.formUnion(keys)
            }
            while try await write(changing: .user(owner), { try SessionRemoval.removeSome(of: owner, $0) }) == .more {}
            if try await write(changing: .user(owner), { try SessionRemoval.forget(owner, $0) }) { break }
        }
        // Turns that arrived while their session went.
        await discard(sessions: erased)
        var erasure = Erasure()
        erasure.sessions = erased.count
        return erasure
    }

    /// How often erasing begins anew because of sessions that were made meanwhile. What is left then is whole.
    private static let erasingRounds = 8
}
