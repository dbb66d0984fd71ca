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

    /// The session that the external ids of a draft name.
    func session(named draft: SessionDraft) async throws -> Session? { try await session(.draft(draft)) }

    private func session(_ lookup: SessionLookup) async throws -> Session? {
        do {
            let departures = durability?.spool.departures
            guard let session = try await readPromptly({ try lookup.find($0) }) else { return nil }
            if let whole = try await withSpooledTurns(session) { return whole }
            // A turn that was stored from the spool since the row was read is in neither of the two.
            if departures == durability?.spool.departures { return session }
            return try await readPromptly({ try lookup.find($0) })
        } catch let error as DatabaseError where error.isOutage {
            guard let known = cache.snapshot(lookup)?.session else { throw error }
            return known
        }
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
        if durability?.spool.holds(session.key) ?? false, let snapshot = try await readWithSpooledTurns(session.key) {
            return try body(CountedSnapshot(snapshot, held))
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
        let isSpooled = durability?.spool.holds(session.key) ?? false
        let known = isSpooled ? cache.snapshot(session.key) : cache.snapshot(session.key, version: session.version)
        guard let known else { return false }
        do { try body(CountedSnapshot(known, held)) } catch is SessionSnapshot.Incomplete { return false }
        return true
    }

    // MARK: With the spool

    /// A session with its spooled turns, as it will be when they are stored; nil if none wait.
    ///
    /// - Parameter row: As the database has it: where others wrote to it meanwhile, it is read anew.
    private func withSpooledTurns(_ row: Session) async throws -> Session? {
        guard let durability, durability.spool.holds(row.key) else { return nil }
        if let known = cache.snapshot(row.key), known.confirmedVersion == row.version { return known.session }
        return try await readWithSpooledTurns(row.key)?.session
    }

    /// Reads the spool first: a turn that is stored meanwhile is then found in both, and not in neither.
    private func readWithSpooledTurns(_ key: SessionKey) async throws -> SessionSnapshot? {
        guard let durability else { return nil }
        let (start, time) = (cache.time, now())
        let spooled = try await durability.spool.turns(of: key)
        let snapshot = try await readPromptly { try Self.snapshot(key, with: spooled, $0, at: time) }
        if let snapshot { cache.replace(snapshot, readSince: start) }
        return snapshot
    }

    /// All of a session, at one version, and the turns behind it that are not stored yet.
    private static func snapshot(
        _ key: SessionKey, with spooled: [TurnDraft], _ reader: ConversationReader, at time: Timestamp
    ) throws -> SessionSnapshot? {
        guard let session = try reader.session(key) else { return nil }
        let outlines = try reader.outlines(of: key)
        let bodies = try reader.messages(of: key, in: 0..<session.nextSeq)
        let system = try reader.system(key)
        let stored = try reader.stored(spooled)
        guard try reader.session(key)?.version == session.version else {
            throw DatabaseError(.retryTransaction, "the session was written to meanwhile")
        }
        var snapshot = SessionSnapshot(session, outlines: outlines, isComplete: true, bodies: bodies, system: system)
        for turn in spooled where !stored.contains(turn.id) { try snapshot.append(turn, at: time) }
        return snapshot
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
        try beginRead(answer, held, body)
        await answer.arrival.wait()
        return try take(answer)
    }

    private func beginRead<Value: Sendable>(
        _ answer: FirstAnswer<Value>, _ held: BufferReservation?,
        _ body: @escaping @Sendable (ConversationReader) throws -> Value
    ) throws {
        if let durability, !durability.reads.mayTry() {
            throw DatabaseError(.unavailable, "the database did not answer a moment ago")
        }
        try database.startRead({ [now] in try body(ConversationReader($0, now: now(), counting: held)) }) {
            answer.give($0)
        }
        addDeadline(answer)
    }

    private func take<Value: Sendable>(_ answer: FirstAnswer<Value>) throws -> Value {
        do {
            let value = try answer.take()
            durability?.reads.noteAnswer()
            return value
        } catch let error as DatabaseError where error.isOutage {
            if error.failure != .retryTransaction { durability?.reads.noteSilence() }
            throw error
        }
    }

    /// After the deadline nobody waits any more; what was handed over goes on.
    func addDeadline<Value: Sendable>(_ answer: FirstAnswer<Value>) {
        durability?.deadlines.add {
            answer.give(.failure(DatabaseError(.unavailable, "the database did not answer in time")))
        }
    }
}

extension ConversationReader {
    /// Which of these turns are stored.
    fileprivate func stored(_ turns: [TurnDraft]) throws -> Set<UniqueID> {
        var stored: Set<UniqueID> = []
        let size = ConversationSQL.lookupSize(connection.dialect)
        for start in stride(from: 0, to: turns.count, by: size) {
            let chunk = turns[start..<min(start + size, turns.count)]
            stored.formUnion(try connection.rows(ConversationSQL.stored(chunk)) { try $0.value(2) })
        }
        return stored
    }
}
