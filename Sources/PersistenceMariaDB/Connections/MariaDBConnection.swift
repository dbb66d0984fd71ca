import CMariaDB
import Persistence

/// One connection to the server, used by one thread at a time.
///
/// What a statement's failure means for the connection is remembered: a lost one is not used again, and a transaction
/// that the server has given up is not continued by a caller that swallowed the error.
// @unchecked Sendable: the pool lends it to one thread at a time, and nobody else has it.
final class MariaDBConnection: Connection, @unchecked Sendable {
    var dialect: Dialect { .mariadb }
    let host: Int
    let openedAt: UInt64
    /// What the server takes in one packet.
    var packetLimit = 16 << 20
    /// Rises when connections that were made before it must not be used again.
    var generation = 0
    var lastUse: UInt64
    private(set) var isLost = false

    private let handle: UnsafeMutablePointer<MYSQL>
    private let openForSchema: (() throws -> MariaDBConnection)?
    private var statements = StatementCache()
    private let values = ValueBinds()
    private let arrays = ArrayBinds()
    private let results = ResultBinds()
    private var isReading = false
    private var givenUp: DatabaseError?

    /// Takes over a connected handle.
    ///
    /// - Parameter openForSchema: Makes the connection on which changes of the schema run.
    init(
        _ handle: UnsafeMutablePointer<MYSQL>, host: Int, now: UInt64,
        openForSchema: (() throws -> MariaDBConnection)? = nil
    ) {
        self.handle = handle
        self.host = host
        self.openForSchema = openForSchema
        openedAt = now
        lastUse = now
    }

    deinit {
        statements.removeAll()
        mysql_close(handle)
    }

    @discardableResult
    func execute(_ sql: SQL) throws -> Int {
        if let openForSchema, Self.changesSchema(sql.text) {
            try commitBeforeSchemaChange()
            return try openForSchema().executeText(sql.text)
        }
        return try perform(sql.text) { statement in
            try send(statement, sql.values[...])
            return statement.affectedRows
        }
    }

    func execute(_ bulk: BulkStatement, rows values: [SQLValue]) throws {
        precondition(values.count % max(bulk.width, 1) == 0, "every row has \(bulk.width) values")
        for chunk in BulkChunks(values, width: bulk.width, limit: packetLimit / 4) {
            try perform(bulk.text) { statement in
                if chunk.count > bulk.width, try arrays.bind(chunk, width: bulk.width, to: statement) {
                    try statement.execute()
                } else {
                    for start in stride(from: chunk.startIndex, to: chunk.endIndex, by: bulk.width) {
                        try send(statement, chunk[start..<start + bulk.width])
                    }
                }
            }
        }
    }

    func forEach(_ sql: SQL, _ body: (borrowing Row) throws -> RowStep) throws {
        try perform(sql.text) { statement in
            try send(statement, sql.values[...])
            try results.attach(to: statement)
            isReading = true
            defer {
                isReading = false
                results.trim()
            }
            guard statement.fieldCount > 0 else { return }
            let row = Row(results)
            while try results.next(of: statement) {
                do {
                    if try body(row) == .stop { return }
                } catch {
                    throw CallersError(error: error)
                }
            }
        }
    }

    /// An error of the closure that reads the rows: it passes as it is, whatever its type.
    private struct CallersError: Error { let error: any Error }

    private func send(_ statement: Statement, _ row: ArraySlice<SQLValue>) throws {
        statement.setRowCount(0)
        try values.bind(row, to: statement, limit: packetLimit)
        try statement.execute()
    }

    /// Runs a prepared statement, prepares it once more where the server asks for that, and leaves no result behind.
    private func perform<Value>(_ text: String, _ body: (Statement) throws -> Value) throws -> Value {
        precondition(!isReading, "no other statement may run while the rows of a query are being read")
        if let givenUp { throw givenUp }
        for isLast in [false, true] {
            do {
                let statement = try statements.statement(text) { try Statement(text, on: handle) }
                defer { if !statement.finish() { isLost = true } }
                return try body(statement)
            } catch let failure as StatementFailure where failure.asksForPreparing && !isLast {
                statements.remove(text)
            } catch let failure as StatementFailure {
                throw note(MariaDBFailure.ofStatement(failure.code, state: failure.state))
            } catch let error as CallersError {
                throw error.error
            }
        }
        preconditionFailure("the second round returns or throws")
    }

    /// Remembers what a failure has ended.
    private func note(_ failure: MariaDBFailure) -> DatabaseError {
        if failure.losesConnection { isLost = true }
        if failure.losesConnection || failure.failure == .retryTransaction { givenUp = failure.error }
        return failure.error
    }
}

// MARK: - Transactions and plain statements

extension MariaDBConnection {
    /// Commits the transaction; nothing when there is none.
    ///
    /// - Throws: `unknownAtCommit` when it may have happened.
    func commit() throws {
        if let givenUp { throw givenUp }
        guard mysql_commit(handle) == 0 else {
            let failure = StatementFailure(handle)
            throw note(MariaDBFailure.ofCommit(failure.code, state: failure.state))
        }
    }

    /// Gives the transaction up; also needed behind a lock that was waited for too long, which ends the statement only.
    func rollBack() {
        givenUp = nil
        guard !isLost else { return }
        if mysql_rollback(handle) != 0 { isLost = true }
    }

    /// Runs a statement as text.
    @discardableResult
    func executeText(_ text: String) throws -> Int {
        guard try query(text, row: { _ in }) else { return Int(truncatingIfNeeded: mysql_affected_rows(handle)) }
        return 0
    }

    /// Runs a query as text; a row is its columns as text, NULL empty.
    ///
    /// - Returns: Whether it gave rows.
    @discardableResult
    func query(_ text: String, row body: ([String]) -> Void) throws -> Bool {
        guard mysql_real_query(handle, text, UInt(text.utf8.count)) == 0 else { throw textFailure() }
        guard let result = mysql_store_result(handle) else {
            // Without rows there is no result; a result that is missing is an error.
            if mysql_field_count(handle) > 0 { throw textFailure() }
            return false
        }
        defer { mysql_free_result(result) }
        let count = Int(mysql_num_fields(result))
        while let row = mysql_fetch_row(result) {
            body((0..<count).map { row[$0].map { String(cString: $0) } ?? "" })
        }
        return true
    }

    private func textFailure() -> DatabaseError {
        let failure = StatementFailure(handle)
        return note(MariaDBFailure.ofStatement(failure.code, state: failure.state))
    }

    /// Whether the connection is encrypted.
    var isEncrypted: Bool { mysql_get_ssl_cipher(handle) != nil }

    // MARK: Changes of the schema

    /// MariaDB commits before every change of the schema. The change itself runs on a connection of its own, because
    /// it may take hours where a statement of an exchange may take seconds.
    private func commitBeforeSchemaChange() throws {
        precondition(!isReading, "no other statement may run while the rows of a query are being read")
        try commit()
    }

    private static func changesSchema(_ text: String) -> Bool {
        let word = text.drop { $0.isWhitespace }.prefix { $0.isLetter }
        return ["CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE", "OPTIMIZE", "ANALYZE"].contains(word.uppercased())
    }
}
