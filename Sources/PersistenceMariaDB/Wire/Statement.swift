import CMariaDB
import Persistence

/// A number and a state that libmariadb left behind a call.
struct StatementFailure: Error {
    let code: Int
    let state: String

    init(_ code: Int, _ state: String) {
        self.code = code
        self.state = state
    }

    /// The error of a connection.
    init(_ handle: UnsafeMutablePointer<MYSQL>) {
        self.init(Int(mysql_errno(handle)), String(cString: mysql_sqlstate(handle)))
    }

    /// The statement must be prepared anew: the table has changed under it, or the server has forgotten it.
    var asksForPreparing: Bool { [1_243, 1_615, Int(CR_NEW_STMT_METADATA), Int(CR_NO_PREPARE_STMT)].contains(code) }
}

/// A prepared statement. It belongs to its connection and ends before it.
final class Statement {
    let parameterCount: Int
    private let pointer: UnsafeMutablePointer<MYSQL_STMT>
    private let connection: UnsafeMutablePointer<MYSQL>

    /// Whether statements can be run for many rows at once, and several be under way: not with libraries before 3.3.
    static let takesRows = cm_takes_rows() != 0

    /// Prepares a text; throws `StatementFailure`.
    init(_ text: String, on connection: UnsafeMutablePointer<MYSQL>) throws {
        guard let pointer = mysql_stmt_init(connection) else {
            throw StatementFailure(Int(CR_OUT_OF_MEMORY), "HY000")
        }
        guard mysql_stmt_prepare(pointer, text, UInt(text.utf8.count)) == 0 else {
            let failure = StatementFailure(
                Int(mysql_stmt_errno(pointer)), String(cString: mysql_stmt_sqlstate(pointer)))
            mysql_stmt_close(pointer)
            throw failure
        }
        self.pointer = pointer
        self.connection = connection
        parameterCount = Int(mysql_stmt_param_count(pointer))
    }

    deinit { mysql_stmt_close(pointer) }

    /// Binds one row.
    func bind(_ binds: UnsafeMutableBufferPointer<MYSQL_BIND>) throws {
        // libmariadb copies the binds, not what they point to.
        guard mysql_stmt_bind_param(pointer, binds.baseAddress) == 0 else { throw failure() }
    }

    func sendLongData(_ bytes: UnsafeRawBufferPointer, to place: Int) throws {
        let start = bytes.assumingMemoryBound(to: CChar.self).baseAddress
        guard mysql_stmt_send_long_data(pointer, UInt32(place), start, UInt(bytes.count)) == 0 else {
            throw failure()
        }
    }

    /// Runs the statement for the rows of a chunk and leaves the answer to `readAnswer`.
    func send(_ rows: UnsafeRawBufferPointer, _ kinds: [BulkRows.Kind], _ packet: RowPacket) throws {
        let command = packet.fill(rows, kinds, statement: UInt32(truncatingIfNeeded: pointer.pointee.stmt_id))
        guard cm_send_rows(pointer, command.baseAddress, command.count) == 0 else {
            throw StatementFailure(connection)
        }
    }

    func execute() throws {
        guard mysql_stmt_execute(pointer) == 0 else { throw failure() }
    }

    /// Reads the answer to `send`.
    func readAnswer() throws {
        guard cm_read_answer(pointer) == 0 else { throw failure() }
    }

    /// How many rows the last execution changed.
    var affectedRows: Int { Int(truncatingIfNeeded: mysql_stmt_affected_rows(pointer)) }

    /// Drops what is left of a result, so that the connection can do something else. Called behind every execution.
    ///
    /// - Returns: False when the connection broke meanwhile.
    func finish() -> Bool {
        guard fieldCount > 0 else { return true }
        return mysql_stmt_free_result(pointer) == 0
    }

    // MARK: Rows

    /// How many columns a row has; known after execution, because `INSERT … RETURNING` has none before.
    var fieldCount: Int { Int(pointer.pointee.field_count) }

    func field(_ column: Int) -> MYSQL_FIELD { pointer.pointee.fields[column] }

    func bindResult(_ binds: UnsafeMutablePointer<MYSQL_BIND>) throws {
        guard mysql_stmt_bind_result(pointer, binds) == 0 else { throw failure() }
    }

    /// Moves to the next row; false behind the last one.
    func fetch() throws -> Bool {
        switch mysql_stmt_fetch(pointer) {
        case 0, Int32(MYSQL_DATA_TRUNCATED): true
        case Int32(MYSQL_NO_DATA): false
        default: throw failure()
        }
    }

    func fetchColumn(_ column: Int, into bind: UnsafeMutablePointer<MYSQL_BIND>) throws {
        guard mysql_stmt_fetch_column(pointer, bind, UInt32(column), 0) == 0 else { throw failure() }
    }

    /// The error of the last call. One that arrives among the rows of a result (KILL QUERY, a conflict in a cluster) is
    /// left on the connection only, and dropping the result clears it.
    private func failure() -> StatementFailure {
        let code = Int(mysql_stmt_errno(pointer))
        guard code == 0 else { return StatementFailure(code, String(cString: mysql_stmt_sqlstate(pointer))) }
        let failure = StatementFailure(connection)
        return failure.code == 0 ? StatementFailure(Int(CR_SERVER_LOST), "HY000") : failure
    }
}
