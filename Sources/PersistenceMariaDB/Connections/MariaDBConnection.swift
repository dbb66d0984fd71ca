import CMariaDB
import Persistence

/// One connection to the server, used by one thread at a time.
///
/// What a statement's failure means for the connection is remembered: a lost one is not used again, and a transaction
/// that the server has given up is not continued by a caller that swallowed the error.
// @unchecked Sendable: the pool lends it to one thread at a time, and nobody else has it.
final class MariaDBConnection: ReplicatedConnection, @unchecked Sendable {
    var dialect: Dialect { .mariadb }
    let host: Int
    let openedAt: UInt64
    /// What the server takes in one packet.
    var packetLimit = 16 << 20
    /// Told what a new connection would have as `packetLimit`.
    var onPacketLimit: (Int) -> Void = { _ in }
    /// Whether one command may carry many rows.
    var sendsRowsTogether = Statement.takesRows
    /// Rises when connections that were made before it must not be used again.
    var generation = 0
    var lastUse: UInt64
    private(set) var isLost = false

    private let handle: UnsafeMutablePointer<MYSQL>
    private let openForSchema: (() throws -> MariaDBConnection)?
    private var statements = StatementCache()
    private let values = ValueBinds()
    private let packet = RowPacket()
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

    func execute(_ bulk: BulkStatement, rows: BulkRows) throws { try execute([BulkWrite(bulk, rows: rows)]) }

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
        try admit(row.reduce(0) { $0 + $1.byteCount }, in: row.count)
        try values.bind(row, to: statement)
        try statement.execute()
    }

    /// Refuses what the server does not take. Where it takes more by now than when this connection was made, which never
    /// learns of it, the transaction is done again on a new one.
    private func admit(_ bytes: Int, in places: Int) throws {
        guard !ValueBinds.fits(bytes, in: places, limit: packetLimit) else { return }
        var limit = packetLimit
        try query("SELECT @@GLOBAL.max_allowed_packet") { limit = $0.first.flatMap { Int($0) } ?? limit }
        guard ValueBinds.fits(bytes, in: places, limit: limit) else {
            throw DatabaseError(
                .data, "\(bytes) bytes of values are more than max_allowed_packet (\(packetLimit)) allows",
                cause: .size)
        }
        let error = DatabaseError(.retryTransaction, "the server takes more than when the connection was made")
        (isLost, givenUp) = (true, error)
        throw error
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

// MARK: - Many rows, several statements

extension MariaDBConnection {
    /// Answers that may wait to be read: they are small, but a server that cannot send them reads nothing more.
    private static let maximumAnswers = 32

    /// Sends the statements one behind the other and then reads their answers: one wait for all of them.
    ///
    /// Behind one that failed the others are run as well, and each may wait for a lock as long as the server lets it.
    func execute(_ writes: [BulkWrite]) throws {
        precondition(!isReading, "no other statement may run while the rows of a query are being read")
        if let givenUp { throw givenUp }
        do {
            // Prepared before, because that is answered at once; held until all is read, whatever the cache drops.
            let prepared = try writes.filter { !$0.rows.isEmpty }.map { write in
                (
                    write,
                    try statements.statement(write.statement.text) { try Statement(write.statement.text, on: handle) }
                )
            }
            var unread: [Unread] = []
            do {
                for (write, statement) in prepared { try send(write, statement, &unread) }
            } catch {
                // The values could not be sent; what was sent is answered all the same, and a failure there came first.
                try readAnswers(&unread)
                throw error
            }
            try readAnswers(&unread)
        } catch {
            let error = failure(of: writes, error)
            // What came behind it may have been done: nothing of it is to be committed.
            givenUp = error
            throw error
        }
    }

    private func failure(of writes: [BulkWrite], _ error: any Error) -> DatabaseError {
        guard let failure = error as? StatementFailure else {
            return error as? DatabaseError ?? DatabaseError(.refuse, "the statements could not be sent")
        }
        guard failure.asksForPreparing else {
            return note(MariaDBFailure.ofStatement(failure.code, state: failure.state))
        }
        for write in writes { statements.remove(write.statement.text) }
        return DatabaseError(.retryTransaction, "the statements must be prepared anew", code: failure.code)
    }

    /// An answer that is still to be read.
    private struct Unread {
        let statement: Statement
        /// How many rows it must say were changed; nil: any number.
        let changes: Int?
    }

    private func send(_ write: BulkWrite, _ statement: Statement, _ unread: inout [Unread]) throws {
        precondition(write.rows.width == statement.parameterCount, "every row has as many values as places")
        let isCounted = write.statement.effect == .one
        let most = isCounted || !Self.isUpdate(write.statement.text) ? RowChunks.rowLimit : 1
        for chunk in RowChunks(write.rows, limit: packetLimit / 4, together: sendsRowsTogether, most: most) {
            switch chunk {
            case .together(let rows, let run):
                try statement.send(write.rows.bytes(of: rows), run.kinds, packet)
                unread.append(Unread(statement: statement, changes: isCounted ? rows.count : nil))
                if unread.count >= Self.maximumAnswers { try readAnswers(&unread) }
            case .alone(let row, let run):
                // Waits for its own answer, which comes behind the others.
                try readAnswers(&unread)
                try admit(write.rows.size(of: row), in: run.kinds.count)
                try values.bind(write.rows.bytes(of: row..<row + 1), run.kinds, to: statement)
                try statement.execute()
                try check(statement, changes: isCounted ? 1 : nil)
            }
        }
    }

    /// MariaDB runs an `UPDATE` for one row after the other, and where `KILL QUERY` or the limit of time comes between two
    /// of them it may leave one out and report success (seen with 10.11). So the rows of one command are counted, and
    /// where nobody knows how many there will be each goes in a command of its own, which is done or fails.
    private static func isUpdate(_ text: String) -> Bool { text.utf8.starts(with: "UPDATE".utf8) }

    private func check(_ statement: Statement, changes: Int?) throws {
        guard let changes, statement.affectedRows != changes else { return }
        throw DatabaseError(.retryTransaction, "the server has not changed every row")
    }

    /// Reads all of them, and throws the first failure; none is left behind unless the connection is lost.
    private func readAnswers(_ unread: inout [Unread]) throws {
        defer { unread = [] }
        var first: (any Error)?
        for answer in unread {
            do {
                try answer.statement.readAnswer()
                try check(answer.statement, changes: answer.changes)
            } catch {
                first = first ?? error
                if let failure = error as? StatementFailure,
                    MariaDBFailure.ofStatement(failure.code, state: failure.state).losesConnection
                {
                    break
                }
            }
        }
        if let first { throw first }
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

    /// A statement that writes fails with the same error. How much the server takes is asked with it, so that everybody
    /// knows of a change within a second.
    func checkTakesWrites() throws {
        precondition(!isReading, "no other statement may run while the rows of a query are being read")
        var values: [String: String] = [:]
        try query("SELECT @@GLOBAL.read_only, @@GLOBAL.max_allowed_packet") {
            (values["read_only"], values["max_allowed_packet"]) = ($0.first, $0.last)
        }
        let report = ServerReport(values: values)
        onPacketLimit(report.packetLimit)
        guard report.isReadOnly else { return }
        throw note(MariaDBFailure.ofStatement(1_290, state: "HY000"))
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
