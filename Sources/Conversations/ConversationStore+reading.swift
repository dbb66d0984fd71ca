public import Persistence
package import TurnpikeKit

extension ConversationStore {
    // MARK: Sessions

    /// A session of `owner`; nil if there is none, if it is deleted, or if it is somebody else's.
    ///
    /// With turns in the spool it is the session as it will be with them. While the database does not answer it is what
    /// this process knows of it.
    /// - Throws: `DatabaseError` where it is not known either.
    public func session(_ reference: SessionReference, of owner: UniqueID) async throws -> Session? {
        try await session(.reference(reference, of: owner))
    }

    /// The same for an exchange, which needs no more than memory has where memory is at the database's version.
    ///
    /// - Parameter exchange: Gets the premise, where the database was not asked.
    package func sessionOfExchange(
        _ reference: SessionReference, of owner: UniqueID, in exchange: Exchange? = nil
    ) async throws -> Session? {
        let believed = believed(reference, of: owner)
        if soleUse.isWanted { exchange?[PremiseKey.self] = believed?.1 }
        if let believed { return believed.0 }
        let lookup = SessionLookup.reference(reference, of: owner)
        guard let known = cache.snapshot(lookup), mayBeCurrent(known), try await isCurrent(known.session) else {
            return try await session(lookup)
        }
        return known.session
    }

    /// What an exchange took its session to be without asking; nil: it asked.
    package func premise(of exchange: Exchange) -> Premise? { soleUse.isWanted ? exchange[PremiseKey.self] : nil }

    /// What memory has of a session, where it is believed without asking.
    package func believed(_ reference: SessionReference, of owner: UniqueID) -> (Session, Premise)? {
        guard let period = soleUse.period else { return nil }
        // Before memory is looked at: what changes behind it is no part of it.
        let start = cache.time
        guard let known = cache.snapshot(.reference(reference, of: owner), askedIn: period), mayBeCurrent(known) else {
            return nil
        }
        let session = known.session
        return (session, Premise(version: session.version, expiresAt: session.expiresAt, since: start))
    }

    /// Whether what memory has of a session is worth asking about.
    private func mayBeCurrent(_ known: SessionSnapshot) -> Bool {
        // A version that was counted on may by now be that of somebody else's change.
        known.isConfirmed && !known.session.isExpired(at: now()) && !waits(known.session.key)
    }

    /// Whether the database has a session as memory has it; true while it does not answer. One that has too much to do is
    /// there: then the session is read.
    private func isCurrent(_ session: Session) async throws -> Bool {
        if let durability, !mayRead(durability) { return true }
        let start = cache.time
        let (answer, mustBegin) = versions.ask(session.key)
        if mustBegin {
            await Task.yield()
            versions.begin()
        }
        let deadline = addReadDeadline(answer)
        await answer.arrival.wait()
        deadline?.cancel()
        do {
            guard try take(answer) == session.version else { return false }
            if soleUse.isWanted { cache.noteAsked(session.key, session.version, since: start) }
            return true
        } catch let error as DatabaseError where error.isOutage {
            return error.isAbsence
        }
    }

    /// The session that the external ids of a draft name; nothing is made.
    package func existing(_ draft: SessionDraft) async throws -> Session? {
        try draft.validate()
        return try await session(named: draft)
    }

    /// The session that the external ids of a draft name.
    func session(named draft: SessionDraft) async throws -> Session? { try await session(.draft(draft)) }

    private func session(_ lookup: SessionLookup) async throws -> Session? {
        do {
            let departures = durability?.spool.departures
            guard let session = try await find(lookup) else { return nil }
            if let whole = try await withSpooledTurns(session) { return whole }
            // A turn that was stored from the spool since the row was read is in neither of the two.
            if departures == durability?.spool.departures { return session }
            return try await find(lookup)
        } catch let error as DatabaseError where error.isAbsence {
            guard let known = cache.snapshot(lookup)?.session else { throw error }
            return known.isExpired(at: now()) ? nil : known
        }
    }

    /// What the database has. What it has no more is forgotten, so that it does not come back in an outage.
    private func find(_ lookup: SessionLookup) async throws -> Session? {
        let found = try await readPromptly({ try lookup.find($0) })
        if let known = cache.snapshot(lookup)?.session.key, known != found?.key { cache.drop(known) }
        return found
    }

    // MARK: History

    /// Reads a session's history: from memory where it is known there at the session's version, else from the database.
    ///
    /// - Parameters:
    ///   - session: As this exchange read it.
    ///   - held: Counts the bodies that are read, for as long as the caller keeps it.
    ///   - body: Keeps what it finds itself. It may run twice.
    package func readHistory(
        of session: Session, counting held: BufferReservation,
        _ body: @escaping @Sendable (any HistoryReading) throws -> Void
    ) async throws {
        if try readFromMemory(session, held, body) { return }
        if let durability, durability.spool.holds(session.key),
            try await readWithSpooledTurns(session.key, durability, held, body)
        {
            return
        }
        try await readPromptly(counting: held) { [cache, start = cache.time] reader in
            held.release()
            if cache.isOff { return try body(reader) }
            let recorder = SnapshotRecorder(reader, session)
            try body(recorder)
            if let snapshot = recorder.snapshot { cache.store(snapshot, readSince: start) }
        }
    }

    /// False where memory does not hold what is needed.
    private func readFromMemory(
        _ session: Session, _ held: BufferReservation, _ body: (any HistoryReading) throws -> Void
    ) throws -> Bool {
        guard let known = memory(of: session) else { return false }
        do { try body(CountedSnapshot(known, held)) } catch is SessionSnapshot.Incomplete { return false }
        return true
    }

    /// What memory holds of a session as an exchange has read it.
    func memory(of session: Session) -> SessionSnapshot? {
        let isSpooled = durability?.spool.holds(session.key) ?? false
        return isSpooled ? cache.snapshot(session.key) : cache.snapshot(of: session)
    }

    // MARK: With the spool

    /// A session with its spooled turns, as it will be when they are stored; nil if none wait.
    ///
    /// - Parameter row: As the database has it: where others wrote to it meanwhile, it is read anew.
    private func withSpooledTurns(_ row: Session) async throws -> Session? {
        guard let durability, durability.spool.holds(row.key) else { return nil }
        if let known = cache.snapshot(row.key), known.confirmedVersion == row.version { return known.session }
        let start = cache.time
        guard let found = try await spooledSession(row.key, durability, counting: nil) else { return nil }
        cache.replace(found.snapshot, readSince: start)
        return found.snapshot.session
    }

    /// Reads the history of a session of which turns wait; false if there is no such session any more.
    private func readWithSpooledTurns(
        _ key: SessionKey, _ durability: Durability, _ held: BufferReservation,
        _ body: @escaping @Sendable (any HistoryReading) throws -> Void
    ) async throws -> Bool {
        let start = cache.time
        // What waits is in memory as long as the reading lasts, whatever of it is needed in the end.
        let waiting = held.another()
        guard let session = try await spooledSession(key, durability, counting: waiting) else { return false }
        try await readPromptly(counting: held) { [cache] reader in
            held.release()
            let reading = SpooledReading(session.snapshot, reader, held)
            try body(reading)
            cache.replace(reading.snapshot, readSince: start)
        }
        waiting.release()
        return true
    }

    /// How often a session is read again whose turns are stored meanwhile.
    private static let maximumReadings = 16

    /// A session with the turns behind it that wait in the spool, without the bodies that are stored.
    ///
    /// - Parameter waiting: counts the turns that are loaded; nil: only as many bodies are kept as the cache would.
    private func spooledSession(
        _ key: SessionKey, _ durability: Durability, counting waiting: BufferReservation?
    ) async throws -> SpooledSession? {
        let limit = waiting == nil ? cache.limitOfOne : Int.max
        for _ in 0..<Self.maximumReadings {
            waiting?.release()
            let turns = durability.spool.waiting(of: key)
            let time = now()
            guard let session = try await readPromptly({ try SpooledSession(key, turns.map(\.id), $0) }) else {
                return nil
            }
            var isWhole = true
            for turn in turns where isWhole && !session.stored.contains(turn.id) {
                try waiting?.take(turn.bytes)
                let answer = await answer(of: turn, durability)
                isWhole = try session.append(answer, at: time, limit: limit)
            }
            if isWhole { return session }
        }
        throw DatabaseError(.retryTransaction, "the session was written to meanwhile")
    }

    /// Reads a turn that waits, within the deadline of the disk.
    private func answer(of turn: SpoolIndex.Turn, _ durability: Durability) async -> FirstAnswer<TurnDraft?> {
        let answer = FirstAnswer<TurnDraft?>()
        durability.spool.read(turn) { answer.give($0) }
        durability.diskDeadlines.add {
            answer.give(.failure(DatabaseError(.unavailable, "the disk of the spool did not answer in time")))
        }
        await answer.arrival.wait()
        return answer
    }

    // MARK: Waiting

    /// Reads on a database thread, and waits no longer than the deadline if there is one.
    ///
    /// While the database does not answer, most callers are refused at once.
    /// - Throws: `unavailable`.
    func readPromptly<Value: Sendable>(
        counting held: BufferReservation? = nil,
        _ body: @escaping @Sendable (ConversationReader) throws -> Value
    ) async throws -> Value {
        let answer = FirstAnswer<Value>()
        let deadline = try beginRead(answer, held, body)
        await answer.arrival.wait()
        deadline?.cancel()
        return try take(answer)
    }

    private func beginRead<Value: Sendable>(
        _ answer: FirstAnswer<Value>, _ held: BufferReservation?,
        _ body: @escaping @Sendable (ConversationReader) throws -> Value
    ) throws -> Deadline? {
        try refuseWhileSilent()
        try database.startRead({ [moment] in try body(ConversationReader($0, at: moment(), counting: held)) }) {
            answer.give($0)
        }
        return addReadDeadline(answer)
    }

    /// What was given up may have been answered since: then others may have been answered too, and have changed what
    /// memory knows.
    private func mayRead(_ durability: Durability) -> Bool {
        if durability.reads.mayTry() { return true }
        durability.reads.noteAnswer(at: database.threads.answeredAt)
        return durability.reads.isAnswering
    }

    func refuseWhileSilent() throws(DatabaseError) {
        guard let durability, !mayRead(durability) else { return }
        throw DatabaseError(.unavailable, "the database did not answer a moment ago")
    }

    private func take<Value: Sendable>(_ answer: FirstAnswer<Value>) throws -> Value {
        do {
            let value = try answer.take()
            durability?.reads.noteAnswer()
            return value
        } catch let error as DatabaseError {
            throw noted(error)
        }
    }

    /// Of a reading that failed: where the database said nothing, the next one is refused at once.
    func noted(_ error: DatabaseError) -> DatabaseError {
        if error.isSilence, error.isAbsence { durability?.reads.noteSilence() }
        return error
    }

    /// After the deadline nobody waits any more; what was handed over goes on. Where others were answered meanwhile, the
    /// database has too much to do, and is not away.
    private func addReadDeadline<Value: Sendable>(_ answer: FirstAnswer<Value>) -> Deadline? {
        guard let durability else { return nil }
        return durability.deadlines.add { [reads = durability.reads] in
            let failure: DatabaseError.Failure = reads.hasAnsweredLately ? .overloaded : .unavailable
            answer.give(.failure(DatabaseError(failure, "the database did not answer in time")))
        }
    }

    /// After the deadline nobody waits any more; what was handed over goes on.
    func addDeadline<Value: Sendable>(_ answer: FirstAnswer<Value>) -> Deadline? {
        durability?.deadlines.add {
            answer.give(.failure(DatabaseError(.unavailable, "the database did not answer in time")))
        }
    }
}
