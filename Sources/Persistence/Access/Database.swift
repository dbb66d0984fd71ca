/// A database: SQLite in a file, or MariaDB.
///
/// Every access is a closure that runs on a thread of the database's own, because it blocks: never on an event loop,
/// never on Swift's cooperative pool. The closure gets a connection for its own time and returns values.
/// Work that many exchanges do at once (turns, activity rows) goes through a `TransactionLane` instead, which does
/// everything that is pending in one transaction.
///
/// Times are microseconds UTC, identifiers 16 bytes, the owner stands in every key and every predicate.
public protocol Database: AnyObject, Sendable {
    /// Which SQL it speaks.
    var dialect: Dialect { get }

    /// The threads on which accesses run, and the lanes that `close()` drains.
    var threads: DatabaseThreads { get }

    /// Runs `body` on a reader, on the calling thread, which it blocks.
    ///
    /// Each statement sees what was committed before it began; two statements in one closure may see different states.
    func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value

    /// Runs `body` in one transaction on a writer, on the calling thread, which it blocks. If it throws, the
    /// transaction is rolled back and the error passed on.
    func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value

    /// How many bytes the values of one row may have together; nil where that is not known yet, or no limit that
    /// anything comes near to. A server's operator may change it.
    var rowLimit: Int? { get }

    /// What is wrong with the database although it answers: settings that break the promise that what is committed
    /// stays. A sentence each, for the operator.
    var problems: [String] { get }

    /// Stops taking work, finishes what was taken (lanes too), and closes the connections. Idempotent.
    func close() async
}

extension Database {
    /// None.
    public var problems: [String] { [] }

    /// None.
    public var rowLimit: Int? { nil }

    /// Reads: runs `body` on a reader thread, and waits for it ``Waiting/promptly``.
    ///
    /// Each statement sees what was committed before it began. A read that was cut off is tried again.
    /// - Throws: `DatabaseError`, or what `body` throws; `CancellationError` as soon as the task is cancelled.
    public func read<Value: Sendable>(
        _ body: @escaping @Sendable (any Connection) throws -> Value
    ) async throws -> Value {
        try await read(.promptly, body)
    }

    /// The same, for a caller who says how long it waits.
    public func read<Value: Sendable>(
        _ waiting: Waiting, _ body: @escaping @Sendable (any Connection) throws -> Value
    ) async throws -> Value {
        let answer = FirstAnswer<Value>()
        try startRead(while: { !answer.isGiven }, body) { answer.give($0) }
        let limit = threads.limit(waiting) { answer.give(.failure($0)) }
        await Self.wait(for: answer)
        limit?.cancel()
        return try answer.take()
    }

    /// Writes: runs `body` in one transaction on a writer thread, and waits for it ``Waiting/promptly``.
    ///
    /// `body` may run several times, when another transaction was in its way, so it changes nothing but the database.
    /// - Throws: `DatabaseError` (with `unknownAtCommit` the transaction may have happened, or may still happen), or what
    ///   `body` throws; `CancellationError` as soon as the task is cancelled, although the transaction is done all the
    ///   same.
    @discardableResult
    public func write<Value: Sendable>(
        _ body: @escaping @Sendable (any Connection) throws -> Value
    ) async throws -> Value {
        try await write(.promptly, body)
    }

    /// The same, for a caller who says how long it waits.
    @discardableResult
    public func write<Value: Sendable>(
        _ waiting: Waiting, _ body: @escaping @Sendable (any Connection) throws -> Value
    ) async throws -> Value {
        let (answer, attempt) = (FirstAnswer<Value>(), WriteAttempt())
        try startWrite(attempt, body) { answer.give($0) }
        let limit = threads.limit(waiting) { _ in
            if !answer.isGiven { answer.give(.failure(attempt.giveUp())) }
        }
        await Self.wait(for: answer)
        limit?.cancel()
        return try answer.take()
    }

    /// A task that is cancelled waits no longer, so that a database that hangs does not hold up the end of the process.
    private static func wait<Value>(for answer: FirstAnswer<Value>) async {
        await withTaskCancellationHandler {
            await answer.arrival.wait()
        } onCancel: {
            answer.give(.failure(CancellationError()))
        }
    }

    /// Writes, for callers that stop waiting for the answer after a while.
    ///
    /// - Parameters:
    ///   - attempt: Is given up by whoever waits no longer, and says what is known then.
    ///   - completion: told the result once, on the writer's thread: it must not block.
    /// - Throws: `overloaded` or `unavailable`; `completion` is then not called.
    package func startWrite<Value: Sendable>(
        _ attempt: WriteAttempt, _ body: @escaping @Sendable (any Connection) throws -> Value,
        completion: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) throws(DatabaseError) {
        try threads.writers.submit { [self] in
            completion(
                Result {
                    try RetryPolicy.standard.attempt(
                        when: { $0.isRetryable && $0.failure != .unknownAtCommit && attempt.isWanted },
                        { try blockingWrite(attempt, body) })
                })
        }
    }

    private func blockingWrite<Value>(
        _ attempt: WriteAttempt, _ body: (any Connection) throws -> Value
    ) throws -> Value {
        guard attempt.isWanted else { throw DatabaseError(.unavailable, "nobody waits for it any more") }
        let value = try blockingWrite { connection in
            try attempt.begin()
            let value = try body(connection)
            try attempt.commit()
            return value
        }
        threads.noteAnswer()
        return value
    }

    /// Reads, for callers that stop waiting for the answer after a while.
    ///
    /// - Parameters:
    ///   - followsRead: This is called by the end of a `completion`, so that its thread goes on with it.
    ///   - isWanted: Asked before each attempt.
    ///   - completion: Told the result once, on the reader's thread: it must not block.
    /// - Throws: `overloaded` or `unavailable`; `completion` is then not called.
    package func startRead<Value: Sendable>(
        followsRead: Bool = false, while isWanted: @escaping @Sendable () -> Bool = { true },
        _ body: @escaping @Sendable (any Connection) throws -> Value,
        completion: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) throws(DatabaseError) {
        try threads.readers.submit(followsJob: followsRead) { [self] in
            completion(
                Result {
                    guard isWanted() else { throw DatabaseError(.unavailable, "nobody waits for it any more") }
                    let value = try RetryPolicy.standard.attempt(
                        when: { $0.isRetryable && isWanted() }, { try blockingRead(body) })
                    threads.noteAnswer()
                    return value
                })
        }
    }
}
