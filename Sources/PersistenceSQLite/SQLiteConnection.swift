import GRDB
import GRDBSQLite
import Persistence

/// A GRDB connection while a closure uses it.
///
/// GRDB keeps the pool and the prepared statements; binding and stepping go to SQLite's C functions directly, which
/// costs about half of GRDB's own path for a row of twenty columns.
final class SQLiteConnection: Connection {
    var dialect: Dialect { .sqlite }

    private let handle: GRDB.Database
    private let arena = BindArena()
    private var isReading = false
    /// What the statements have cost so far, in steps of SQLite's virtual machine: each row that is looked at takes some.
    private(set) var steps = 0

    init(_ handle: GRDB.Database) {
        self.handle = handle
    }

    @discardableResult
    func execute(_ sql: Persistence.SQL) throws -> Int {
        let statement = try prepare(sql.text)
        try sql.values.withUnsafeBufferPointer { try arena.bind($0, to: statement) }
        try finish(statement)
        return handle.changesCount
    }

    func execute(_ bulk: BulkStatement, rows: BulkRows) throws {
        precondition(rows.width == bulk.width, "every row has \(bulk.width) values")
        guard !rows.isEmpty else { return }
        let statement = try prepare(bulk.text)
        // The values are read where they lie: the last ones are let go of before they are gone.
        defer { sqlite3_clear_bindings(statement) }
        for run in rows.runs {
            var binds = RowBinds(run, of: rows, to: statement)
            for _ in run.rows {
                try binds.next()
                try finish(statement)
            }
        }
    }

    func forEach(_ sql: Persistence.SQL, _ body: (borrowing Persistence.Row) throws -> RowStep) throws {
        let statement = try prepare(sql.text)
        try sql.values.withUnsafeBufferPointer { try arena.bind($0, to: statement) }
        isReading = true
        defer {
            isReading = false
            reset(statement)
        }
        let row = Persistence.Row(SQLiteRow(statement))
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW: if try body(row) == .stop { return }
            case SQLITE_DONE: return
            default: throw failure()
            }
        }
    }

    /// The prepared statement for a text, from the connection's cache.
    private func prepare(_ text: String) throws -> OpaquePointer {
        precondition(!isReading, "no other statement may run while the rows of a query are being read")
        return try handle.cachedStatement(sql: text).sqliteStatement
    }

    /// Runs a statement to its end. Rows that it gives (`PRAGMA`) are dropped.
    private func finish(_ statement: OpaquePointer) throws {
        var result = sqlite3_step(statement)
        while result == SQLITE_ROW { result = sqlite3_step(statement) }
        // The error is read before the reset, which may replace it.
        let error = result == SQLITE_DONE ? nil : failure()
        reset(statement)
        if let error { throw error }
    }

    private func reset(_ statement: OpaquePointer) {
        steps += Int(sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1))
        sqlite3_reset(statement)
    }

    private func failure() -> Persistence.DatabaseError {
        SQLiteFailure.error(code: sqlite3_extended_errcode(handle.sqliteConnection))
    }
}

// MARK: - Transactions

extension SQLiteConnection {
    /// Takes the write lock at once: a transaction that reads first and wants to write later could not get it any more
    /// if another process had written meanwhile.
    func begin() throws {
        try finish(prepare("BEGIN IMMEDIATE"))
    }

    /// Commits; a transaction whose commit failed is rolled back.
    func commit() throws {
        do {
            try finish(prepare("COMMIT"))
        } catch let error as Persistence.DatabaseError {
            rollBack()
            throw SQLiteFailure.atCommit(error)
        }
    }

    /// Gives the transaction up. Some errors have ended it already: then there is nothing to do.
    func rollBack() {
        guard handle.isInsideTransaction else { return }
        try? finish(prepare("ROLLBACK"))
    }
}
