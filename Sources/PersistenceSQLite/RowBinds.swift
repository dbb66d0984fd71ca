import GRDBSQLite
import Persistence

/// Binds the rows of a bulk statement one after the other, each value where it lies.
struct RowBinds {
    private let statement: OpaquePointer
    private let kinds: [BulkRows.Kind]
    private var values: BulkValues
    /// Which places are NULL since the row before: a value stays bound until another one is.
    private var areNull: [Bool]

    /// - Parameter rows: They outlive this.
    init(_ run: BulkRows.Run, of rows: BulkRows, to statement: OpaquePointer) {
        precondition(rows.width == Int(sqlite3_bind_parameter_count(statement)), "a statement has one value per place")
        self.statement = statement
        kinds = run.kinds
        values = BulkValues(rows.bytes(of: run.rows))
        areNull = Array(repeating: false, count: rows.width)
    }

    /// Binds the next row; the statement was reset.
    ///
    /// - Throws: `DatabaseError` of class `data` for a value that is beyond SQLite's limit.
    mutating func next() throws {
        for column in kinds.indices {
            let result = bind(column)
            guard result == SQLITE_OK else { throw SQLiteFailure.error(code: result) }
        }
    }

    private mutating func bind(_ column: Int) -> Int32 {
        let place = Int32(column + 1)
        if values.nextIsNull() {
            if areNull[column] { return SQLITE_OK }
            areNull[column] = true
            return sqlite3_bind_null(statement, place)
        }
        areNull[column] = false
        switch kinds[column] {
        case .integer: return sqlite3_bind_int64(statement, place, values.integer())
        case .double: return sqlite3_bind_double(statement, place, values.double())
        case .text:
            let bytes = values.bytes()
            return sqlite3_bind_text64(
                statement, place, bytes.baseAddress, UInt64(bytes.count), nil, UInt8(SQLITE_UTF8))
        case .blob:
            let bytes = values.bytes()
            return sqlite3_bind_blob64(statement, place, bytes.baseAddress, UInt64(bytes.count), nil)
        case .unknown: preconditionFailure("a value has a kind")
        }
    }
}
