import Persistence
import Synchronization

/// A database that remembers how much its transactions did.
final class WatchedDatabase: Database {
    private let base: any Database
    private let most = Mutex(0)

    init(_ base: any Database) { self.base = base }

    var dialect: Dialect { base.dialect }
    var threads: DatabaseThreads { base.threads }
    /// The most rows that one transaction has changed.
    var mostRows: Int { most.withLock { $0 } }

    func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value { try base.blockingRead(body) }

    func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        try base.blockingWrite { connection in
            let watched = WatchedConnection(connection)
            defer { most.withLock { $0 = max($0, watched.rows) } }
            return try body(watched)
        }
    }

    func close() async { await base.close() }
}

private final class WatchedConnection: Connection {
    private let base: any Connection
    private(set) var rows = 0

    init(_ base: any Connection) { self.base = base }

    var dialect: Dialect { base.dialect }

    func execute(_ sql: SQL) throws -> Int {
        let count = try base.execute(sql)
        rows += count
        return count
    }

    func execute(_ statement: BulkStatement, rows values: [SQLValue]) throws {
        rows += values.count / max(1, statement.width)
        try base.execute(statement, rows: values)
    }

    func forEach(_ sql: SQL, _ body: (borrowing Row) throws -> RowStep) throws { try base.forEach(sql, body) }
}
