import Persistence
import Synchronization

/// A database that remembers how much its transactions did.
final class WatchedDatabase: Database {
    private let base: any Database
    fileprivate struct Seen {
        var mostRows = 0
        var transactions = 0
        var queries = 0
        var interrupted = 0
        var isOutOfOrder = false
    }

    private let seen = Mutex(Seen())

    init(_ base: any Database) { self.base = base }

    var dialect: Dialect { base.dialect }
    var threads: DatabaseThreads { base.threads }
    /// The most rows that one transaction has changed.
    var mostRows: Int { seen.withLock { $0.mostRows } }
    /// How many transactions there were.
    var transactions: Int { seen.withLock { $0.transactions } }
    /// How many queries they made.
    var queries: Int { seen.withLock { $0.queries } }
    /// How many transactions that made none were hit by a `KILL QUERY`.
    var interrupted: Int { seen.withLock { $0.interrupted } }
    /// Whether one of them wrote to a session behind the sums of its user, which come last.
    var isOutOfOrder: Bool { seen.withLock { $0.isOutOfOrder } }

    func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value { try base.blockingRead(body) }

    func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        try base.blockingWrite { connection in
            let watched = WatchedConnection(connection)
            let result = Result { try body(watched) }
            seen.withLock { $0.note(watched, (result.failure as? DatabaseError)?.code) }
            return try result.get()
        }
    }

    func close() async { await base.close() }
}

extension WatchedDatabase.Seen {
    /// MariaDB's `ER_QUERY_INTERRUPTED`.
    private static let interruption = 1_317

    /// - Parameter failure: the server's number for what the transaction ended with.
    fileprivate mutating func note(_ connection: WatchedConnection, _ failure: Int?) {
        mostRows = max(mostRows, connection.rows)
        transactions += 1
        queries += connection.queries
        if connection.queries == 0, failure == Self.interruption { interrupted += 1 }
        isOutOfOrder = isOutOfOrder || connection.isOutOfOrder
    }
}

extension Result {
    fileprivate var failure: Failure? {
        switch self {
        case .success: nil
        case .failure(let error): error
        }
    }
}

private final class WatchedConnection: Connection {
    private let base: any Connection
    private(set) var rows = 0
    private(set) var queries = 0
    private(set) var isOutOfOrder = false
    private var hasWrittenSums = false

    init(_ base: any Connection) { self.base = base }

    var dialect: Dialect { base.dialect }

    func execute(_ sql: SQL) throws -> Int {
        note(sql.text)
        let count = try base.execute(sql)
        rows += count
        return count
    }

    func execute(_ statement: BulkStatement, rows written: BulkRows) throws {
        note(statement.text)
        rows += written.count
        try base.execute(statement, rows: written)
    }

    func execute(_ writes: [BulkWrite]) throws {
        for write in writes {
            note(write.statement.text)
            rows += write.rows.count
        }
        try base.execute(writes)
    }

    private func note(_ text: String) {
        if text.hasPrefix("INSERT INTO session_sums") { hasWrittenSums = true }
        if hasWrittenSums, text.hasPrefix("UPDATE sessions ") { isOutOfOrder = true }
    }

    func forEach(_ sql: SQL, _ body: (borrowing Row) throws -> RowStep) throws {
        queries += 1
        try base.forEach(sql, body)
    }
}
