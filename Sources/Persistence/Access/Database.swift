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

    /// What is wrong with the database although it answers: settings that break the promise that what is committed
    /// stays. A sentence each, for the operator.
    var problems: [String] { get }

    /// Stops taking work, finishes what was taken (lanes too), and closes the connections. Idempotent.
    func close() async
}

extension Database {
    /// None.
    public var problems: [String] { [] }

    /// Reads: runs `body` on a reader thread.
    ///
    /// Each statement sees what was committed before it began. A read that was cut off is tried again.
    /// - Throws: `DatabaseError`, or what `body` throws; `CancellationError` as soon as the task is cancelled.
    public func read<Value: Sendable>(
        _ body: @escaping @Sendable (any Connection) throws -> Value
    ) async throws -> Value {
        try await threads.readers.run { [self] in
            try RetryPolicy.standard.attempt(when: \.isRetryable) { try blockingRead(body) }
        }
    }

    /// Writes: runs `body` in one transaction on a writer thread.
    ///
    /// `body` may run several times, when another transaction was in its way, so it changes nothing but the database.
    /// - Throws: `DatabaseError` (with `unknownAtCommit` the transaction may have happened), or what `body` throws;
    ///   `CancellationError` as soon as the task is cancelled, although the transaction is done all the same.
    @discardableResult
    public func write<Value: Sendable>(
        _ body: @escaping @Sendable (any Connection) throws -> Value
    ) async throws -> Value {
        try await threads.writers.run { [self] in
            try RetryPolicy.standard.attempt(when: { $0.isRetryable && $0.failure != .unknownAtCommit }) {
                try blockingWrite(body)
            }
        }
    }

    /// Writes, for callers that stop waiting for the answer after a while.
    ///
    /// - Parameters:
    ///   - isWanted: asked before each attempt.
    ///   - completion: told the result once, on the writer's thread: it must not block.
    /// - Throws: `overloaded` or `unavailable`; `completion` is then not called.
    package func startWrite<Value: Sendable>(
        while isWanted: @escaping @Sendable () -> Bool,
        _ body: @escaping @Sendable (any Connection) throws -> Value,
        completion: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) throws(DatabaseError) {
        try threads.writers.submit { [self] in
            completion(
                Result {
                    guard isWanted() else { throw DatabaseError(.unavailable, "nobody waits for it any more") }
                    return try RetryPolicy.standard.attempt(
                        when: { $0.isRetryable && $0.failure != .unknownAtCommit && isWanted() },
                        { try blockingWrite(body) })
                })
        }
    }

    /// Reads, for callers that stop waiting for the answer after a while.
    ///
    /// - Parameters:
    ///   - followsRead: This is called by the end of a `completion`, so that its thread goes on with it.
    ///   - completion: Told the result once, on the reader's thread: it must not block.
    /// - Throws: `overloaded` or `unavailable`; `completion` is then not called.
    package func startRead<Value: Sendable>(
        followsRead: Bool = false, _ body: @escaping @Sendable (any Connection) throws -> Value,
        completion: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) throws(DatabaseError) {
        try threads.readers.submit(followsJob: followsRead) { [self] in
            completion(
                Result { try RetryPolicy.standard.attempt(when: \.isRetryable) { try blockingRead(body) } })
        }
    }
}
