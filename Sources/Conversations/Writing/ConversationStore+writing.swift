import Persistence

/// The writes of the API: each is answered within the deadline that turns and readings have.
extension ConversationStore {
    /// How many bytes give a write another deadline: what is imported takes its time, and nothing is wrong then.
    private static let bytesPerDeadline = 4 << 20

    /// To be called before sessions are changed: ``SoleUse/attend()``. While the database says nothing there is nothing to
    /// wait for.
    func attend() async throws {
        if soleUse.isAttentive { return }
        if let durability, !durability.writes.isAnswering {
            throw DatabaseError(.unavailable, "the database took nothing a moment ago")
        }
        try await soleUse.attend()
    }

    /// Writes in one transaction on a database thread, and waits no longer than the deadline if there is one.
    ///
    /// While the database does not answer, most callers are refused at once.
    /// - Parameters:
    ///   - scope: What memory has of it is forgotten when it is over, also when that is after the deadline.
    ///   - bytes: About how much is written.
    ///   - body: It may run several times.
    /// - Throws: `unknownAtCommit` where the transaction may have happened, or may still happen. Behind every other
    ///   `DatabaseError` nothing has changed, and nothing will.
    func write<Value: Sendable>(
        changing scope: WrittenScope = .none, bytes: Int = 0,
        _ body: @escaping @Sendable (any Connection) throws -> Value
    ) async throws -> Value {
        if let durability, !durability.writes.mayTry() {
            throw DatabaseError(.unavailable, "the database took nothing a moment ago")
        }
        try await attend()
        let answer = FirstAnswer<Value>()
        try beginWrite(answer, scope, bytes, body)
        await answer.arrival.wait()
        return try takeWritten(answer)
    }

    /// The same for a chore, which waits for as long as the database takes.
    func writePatiently<Value: Sendable>(
        changing scope: WrittenScope, _ body: @escaping @Sendable (any Connection) throws -> Value
    ) async throws -> Value {
        try await attend()
        let write = cache.begin(scope)
        do {
            let value = try await database.write(.patiently, noting(scope, ofWrite: write, body))
            cache.end(write, scope, hasChanged: true)
            return value
        } catch {
            let mayHappen = Self.mayHappen(in: error)
            cache.end(write, scope, hasChanged: mayHappen)
            if mayHappen { soleUse.suspend() }
            throw error
        }
    }

    private func beginWrite<Value: Sendable>(
        _ answer: FirstAnswer<Value>, _ scope: WrittenScope, _ bytes: Int,
        _ body: @escaping @Sendable (any Connection) throws -> Value
    ) throws {
        let attempt = WriteAttempt()
        let write = cache.begin(scope)
        do {
            try database.startWrite(attempt, noting(scope, ofWrite: write, body)) { [cache] result in
                var hasChanged = true
                if case .failure(let error) = result { hasChanged = Self.mayHappen(in: error) }
                cache.end(write, scope, hasChanged: hasChanged)
                answer.give(result)
            }
        } catch {
            cache.end(write, scope, hasChanged: false)
            throw error
        }
        addDeadline(answer, attempt, scope, 1 + bytes / Self.bytesPerDeadline)
    }

    /// A transaction that says which versions it makes of its sessions, where memory is believed unasked. It says so
    /// under their locks: whoever finds those versions finds them explained.
    private func noting<Value>(
        _ scope: WrittenScope, ofWrite write: UInt64, _ body: @escaping @Sendable (any Connection) throws -> Value
    ) -> @Sendable (any Connection) throws -> Value {
        let keys = scope.sessions
        guard soleUse.isWanted, !keys.isEmpty else { return body }
        return { [cache] connection in
            let changes = VersionChanges(keys, connection)
            let old = try changes.states(isLocking: true)
            let value = try body(connection)
            cache.note(changes.since(old, try changes.states(isLocking: false)), ofWrite: write)
            return value
        }
    }

    /// Whether a transaction that ended so may have happened, or may still happen: what was refused inside it, or never
    /// began, has changed nothing. A task that is cancelled waits no longer, and its transaction goes on.
    private static func mayHappen(in error: any Error) -> Bool {
        error is CancellationError || (error as? DatabaseError)?.failure == .unknownAtCommit
    }

    private func takeWritten<Value: Sendable>(_ answer: FirstAnswer<Value>) throws -> Value {
        do {
            let value = try answer.take()
            durability?.writes.noteAnswer()
            return value
        } catch let error as DatabaseError {
            if error.isSilence { durability?.writes.noteSilence() }
            if Self.mayHappen(in: error) { soleUse.suspend() }
            throw error
        }
    }

    private func addDeadline<Value: Sendable>(
        _ answer: FirstAnswer<Value>, _ attempt: WriteAttempt, _ scope: WrittenScope, _ deadlines: Int
    ) {
        durability?.deadlines.add { [self] in
            guard !answer.isGiven else { return }
            guard deadlines == 1 || !attempt.hasBegun else {
                return addDeadline(answer, attempt, scope, deadlines - 1)
            }
            let error = attempt.giveUp()
            scope.forget(in: cache)
            answer.give(.failure(error))
        }
    }
}
