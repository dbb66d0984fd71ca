public import Persistence
import Synchronization

/// A database that fails where a test wants it: at the k-th step of what is done next.
///
/// Steps are: the beginning of a transaction, each statement, its commit before it happens, and its commit after it
/// happened. Reads have a step per statement. Statements that are run together have a step each, and a fault at one of them
/// leaves the ones before it done.
public final class FaultyDatabase: Database {
    /// What became of a commit whose answer is lost.
    public enum LostCommit: Sendable {
        /// It is stored.
        case happened
        /// It is not.
        case lost
    }

    private struct Plan {
        var remaining: Int?
        var failure: DatabaseError.Failure = .unavailable
        var commit: LostCommit?
    }

    private let base: any Database
    private let plan = Mutex(Plan())

    /// Wraps a database; closing it closes that one.
    public init(_ base: any Database) {
        self.base = base
    }

    /// The wrapped one's.
    public var dialect: Dialect { base.dialect }
    /// The wrapped one's.
    public var threads: DatabaseThreads { base.threads }

    /// Fails once, `step` steps from now. At a commit the failure is `unknownAtCommit` if `failure` is retryable.
    public func fail(atStep step: Int, with failure: DatabaseError.Failure) {
        plan.withLock { $0 = Plan(remaining: step, failure: failure) }
    }

    /// Loses the answer to the next commit.
    public func failNextCommit(_ commit: LostCommit) {
        plan.withLock { $0 = Plan(commit: commit) }
    }

    /// Whether the planned fault has not come yet; it is then withdrawn.
    public func withdraw() -> Bool {
        plan.withLock { plan in
            defer { plan = Plan() }
            return plan.remaining != nil || plan.commit != nil
        }
    }

    /// Reads through the wrapped database.
    public func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        try base.blockingRead { try body(FaultyConnection($0, step)) }
    }

    /// Writes through the wrapped database.
    public func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        try step()
        let value = try base.blockingWrite { connection in
            let value = try body(FaultyConnection(connection, step))
            try commit(.lost)
            return value
        }
        try commit(.happened)
        return value
    }

    /// Closes the wrapped database.
    public func close() async { await base.close() }

    private func step() throws {
        let failure: DatabaseError.Failure? = plan.withLock { plan in
            guard let remaining = plan.remaining else { return nil }
            plan.remaining = remaining == 0 ? nil : remaining - 1
            return remaining == 0 ? plan.failure : nil
        }
        if let failure { throw DatabaseError(failure, "an injected fault") }
    }

    private func commit(_ point: LostCommit) throws {
        let isPlanned = plan.withLock { plan in
            guard plan.commit == point else { return false }
            plan.commit = nil
            return true
        }
        if isPlanned { throw DatabaseError(.unknownAtCommit, "an injected fault") }
        do {
            try step()
        } catch let error as DatabaseError where error.isRetryable {
            throw DatabaseError(.unknownAtCommit, error.reason)
        }
    }
}

/// The connection of a faulty database.
private final class FaultyConnection: Connection {
    private let base: any Connection
    private let step: () throws -> Void

    init(_ base: any Connection, _ step: @escaping () throws -> Void) {
        self.base = base
        self.step = step
    }

    var dialect: Dialect { base.dialect }

    func execute(_ sql: SQL) throws -> Int {
        try step()
        return try base.execute(sql)
    }

    func execute(_ statement: BulkStatement, rows: BulkRows) throws {
        try step()
        try base.execute(statement, rows: rows)
    }

    /// Together, as the wrapped connection does it; up to the one at which the fault comes.
    func execute(_ writes: [BulkWrite]) throws {
        for index in writes.indices {
            do {
                try step()
            } catch {
                try base.execute(Array(writes[..<index]))
                throw error
            }
        }
        try base.execute(writes)
    }

    func forEach(_ sql: SQL, _ body: (borrowing Row) throws -> RowStep) throws {
        try step()
        try base.forEach(sql, body)
    }
}
