public import Persistence
package import TurnpikeKit

/// The conversations of all users: sessions, turns, messages.
///
/// What is written is committed when the call returns, or in the spool (`AppendOutcome.spooled`), and every read that
/// begins afterwards sees it: on any process if it is committed, on this one if it is spooled. Turns and new sessions go
/// through batched lanes: what many exchanges do at once is one transaction per shard. Its lanes end with the database.
///
/// It may be given a spool and a cache. Then a commit that does not answer in time leaves the turn in the spool, and
/// sessions that this process knows can be read while the database does not answer.
public final class ConversationStore: Sendable {
    /// The tables, for the migrator.
    public static var migrations: [Migration] { ConversationMigrations.all + SessionMigrations.all }

    /// Where requests of one session take turns, if they are to: one for the process, whatever is reloaded.
    package let gate = SessionGate()
    /// The requests that were planned lately, or refused: one for the process as well.
    let attempts = AttemptLog()
    let holds = MessageHolds()
    let database: any Database
    let now: @Sendable () -> Timestamp
    let turns: TransactionLane<TurnDraft, AppendOutcome>
    private let creations: TransactionLane<SessionWish, SessionCreation.Outcome>
    let cache: SessionCache
    let versions: SessionVersions
    /// Whether memory needs no asking.
    package let soleUse: SoleUse
    /// Nil: a turn is committed, or it is not stored.
    let durability: Durability?
    /// What has ended, and is to be gone, by now.
    let moment: @Sendable () -> Expiry

    /// A store without spool and cache.
    ///
    /// - Parameters:
    ///   - limits: Of the transactions in which turns are stored.
    ///   - now: The clock of the rows' times.
    public convenience init(
        database: any Database, limits: LaneLimits = LaneLimits(),
        now: @escaping @Sendable () -> Timestamp = Timestamp.now
    ) {
        self.init(database: database, durability: nil, cacheLimit: 0, limits: limits, now: now)
    }

    /// - Parameters:
    ///   - durability: The spool and its deadlines.
    ///   - cacheLimit: How many bytes of sessions are kept in memory.
    ///   - soleUse: Whether memory needs no asking; nil: it does.
    package init(
        database: any Database, durability: Durability?, cacheLimit: Int, soleUse: SoleUse? = nil,
        limits: LaneLimits = LaneLimits(),
        now: @escaping @Sendable () -> Timestamp = Timestamp.now
    ) {
        self.database = database
        self.now = now
        self.durability = durability
        let waits: @Sendable (SessionKey) -> Bool = { durability?.spool.holds($0) ?? false }
        let moment: @Sendable () -> Expiry = { Expiry(at: now(), waits: waits) }
        self.moment = moment
        cache = SessionCache(limit: cacheLimit)
        versions = SessionVersions(database, durability?.deadlines)
        self.soleUse = soleUse ?? SoleUse(.never, database)
        turns = TransactionLane("turns", on: database, limits: limits) { [cache] connection, turns in
            CrashPoint.afterBegin.pass()
            let outcomes = try TurnBatch.append(
                turns, connection, at: now(), memory: { cache.claim($0) },
                isAsAssumed: { cache.holds($0, of: $1, at: $2) })
            CrashPoint.beforeCommit.pass()
            return outcomes
        }
        creations = TransactionLane("sessions", on: database) {
            try SessionCreation.findOrCreate($1, $0, at: moment())
        }
    }

    /// Whether turns of a session wait in the spool.
    func waits(_ key: SessionKey) -> Bool { durability?.spool.holds(key) ?? false }

    /// How large a message may be, but for its media: the database's limit for a row, less room for all else in it.
    var messageLimit: Int? { database.rowLimit.map { $0 - (16 << 10) } }

    /// How many turns and new sessions wait to be written, for metrics.
    package var pending: (turns: Int, sessions: Int) { (turns.pending, creations.pending) }

    // MARK: Reading

    /// Reads on a database thread: everything that one step of a list or a page needs, in one closure. It may last longer
    /// than a commit, as long as the database answers others: ``Waiting/promptly``.
    ///
    /// While the database does not answer, most callers are refused at once.
    public func read<Value: Sendable>(
        _ body: @escaping @Sendable (ConversationReader) throws -> Value
    ) async throws -> Value {
        try await reading { [moment] in try body(ConversationReader($0, at: moment())) }
    }

    /// Reads with the bodies of messages counted by `bodies`, each before it is loaded. What was counted stays so after
    /// the reading, for as long as the caller keeps the reservation: it goes with the bodies.
    package func read<Value: Sendable>(
        counting bodies: BufferReservation, _ body: @escaping @Sendable (ConversationReader) throws -> Value
    ) async throws -> Value {
        try await reading { [moment] connection in
            bodies.release()
            return try body(ConversationReader(connection, at: moment(), counting: bodies))
        }
    }

    private func reading<Value: Sendable>(
        _ body: @escaping @Sendable (any Connection) throws -> Value
    ) async throws -> Value {
        try refuseWhileSilent()
        do {
            return try await database.read { [durability] connection in
                let value = try body(connection)
                durability?.reads.noteAnswer()
                return value
            }
        } catch let error as DatabaseError {
            throw noted(error)
        }
    }

    // MARK: Sessions

    /// Makes a session.
    ///
    /// - Throws: `ConversationError.alreadyExists` if the user has one with this external id.
    @discardableResult
    public func create(_ draft: SessionDraft) async throws -> Session {
        guard case .created(let session) = try await findOrCreate(draft) else { throw ConversationError.alreadyExists }
        return session
    }

    /// The session that the draft's external ids name, made if there is none; concurrent callers get the same one.
    public func findOrCreate(_ draft: SessionDraft) async throws -> FoundSession {
        try draft.validate()
        if draft.externalID != nil || draft.conversation != nil {
            if let session = try await session(named: draft) { return FoundSession(session, for: draft) }
        }
        return try await createOrFind(draft)
    }

    /// The same for a caller who has just looked for it and did not find it.
    package func createOrFind(_ draft: SessionDraft) async throws -> FoundSession {
        try draft.validate()
        try await attend()
        let (answer, start) = (FirstAnswer<SessionCreation.Outcome>(), cache.time)
        let deadline = try enqueue(draft, answer)
        await answer.arrival.wait()
        deadline?.cancel()
        switch try answer.take() {
        case .done(let found):
            remember(found, draft.system, since: start)
            return found
        case .tooMany(let limit): throw ConversationError.tooManySessions(limit: limit)
        }
    }

    /// A session that was just made has no messages: its first exchange need not ask for them.
    private func remember(_ found: FoundSession, _ system: SystemMessages?, since start: UInt64) {
        guard case .created(let session) = found, session.nextSeq == 1 else { return }
        let snapshot = SessionSnapshot(
            session, outlines: [], isComplete: true, bodies: [], system: system?.copied)
        cache.store(snapshot, readSince: start)
    }

    private func enqueue(_ draft: SessionDraft, _ answer: FirstAnswer<SessionCreation.Outcome>) throws -> Deadline? {
        try creations.enqueue(SessionWish(draft: draft)) { answer.give($0) }
        // It goes on, and may be made later.
        return durability?.deadlines.add {
            answer.give(.failure(DatabaseError(.unknownAtCommit, "the database did not answer in time")))
        }
    }

    /// Changes what the API may change.
    ///
    /// - Parameters:
    ///   - system: What becomes of the stored system messages.
    ///   - move: Gets the agent's conversation that the session is; it may run several times, as `change` may.
    ///   - change: Gets the settings as they are.
    /// - Returns: The session as it is now; nil if it does not exist.
    /// - Throws: `ConversationError.conversationTaken` if another session of the user is that conversation.
    public func update(
        _ key: SessionKey, system: SystemChange = .keep,
        conversation move: @escaping @Sendable (inout AgentConversation) throws -> Void = { _ in },
        _ change: @escaping @Sendable (inout SessionSettings) throws -> Void
    ) async throws -> Session? {
        try await write(changing: .session(key)) { [moment] connection in
            let expiry = moment()
            let lock = ConversationSQL.lock([key], connection.dialect)
            let found = try connection.first(lock, SessionRow.session)
            guard let session = found, !expiry.hasEnded(session) else { return nil }
            var settings = session.settings
            try change(&settings)
            try settings.validate()
            let moved = try ConversationMove(of: session, move)
            var sums: SessionSums.Changes = []
            try moved?.prepare(connection, at: expiry, &sums)
            try ConversationMove.blamingName(of: moved, connection) {
                try connection.execute(ConversationSQL.update(key, settings, moved?.new, at: expiry.time))
            }
            try moved?.count(connection)
            if settings.sourceChannel.map(ExactText.init) != session.settings.sourceChannel.map(ExactText.init) {
                try ChannelTotals.add(-1, session.settings.sourceChannel, of: key.owner, connection)
                try ChannelTotals.add(1, settings.sourceChannel, of: key.owner, connection)
            }
            if let update = ConversationSQL.change(system, of: key) { try connection.execute(update) }
            if case .set(let messages) = system {
                try connection.execute(ConversationSQL.setSystem(key, messages, connection.dialect))
            }
            try SessionSums.add(sums, connection)
            return try connection.first(ConversationSQL.session(key), SessionRow.session)
        }
    }

    /// Deletes a session: it is gone for chats and lists, its external ids are free, its rows stay until `purge`. What
    /// waits of it in the spool is erased.
    public func delete(_ key: SessionKey) async throws -> DeletionOutcome {
        let outcome = try await write(changing: .session(key)) { [now] in
            try SessionRemoval.delete(key, $0, at: now())
        }
        await discard(session: key)
        return outcome
    }

    /// Removes a session, deleted or not, with everything that belongs to it.
    ///
    /// It is gone with the first transaction, and its rows go in pieces that hold no lock for long. What a process that
    /// ends in between leaves is removed by the next call, or by ``SessionPurge``.
    public func purge(_ key: SessionKey) async throws -> DeletionOutcome {
        let outcome = try await write(changing: .session(key)) { try SessionRemoval.condemn(key, $0) }
        await discard(session: key)
        guard outcome == .deleted else { return outcome }
        while try await write(changing: .session(key), { try SessionRemoval.removePieces(of: [key], $0) }) == .more {}
        // What came into the spool meanwhile.
        await discard(session: key)
        return outcome
    }
}

/// Whether there was something to delete.
public enum DeletionOutcome: Sendable, Equatable {
    case deleted
    case notFound
}
