import CMariaDB
import Persistence

/// Binds the values of many rows as one array per column, so that one execution writes them all: 5 to 7 times faster
/// than row by row.
///
/// An array of integers lies in one piece; text and bytes are an array of addresses and one of lengths. NULLs are
/// marked in an array of bytes. Each value is looked at once on its way there.
final class ArrayBinds {
    /// Where the values of a column go.
    private struct Column {
        var type = MYSQL_TYPE_NULL
        /// NULL or not, per row.
        var marks: UnsafeMutablePointer<CChar>
        /// The numbers themselves, or addresses, 8 bytes per row.
        var words: UnsafeMutablePointer<UInt64>
        var lengths: UnsafeMutablePointer<UInt>
    }

    private let memory = RawMemory()
    private var columns: [Column] = []
    private var binds: [MYSQL_BIND] = []

    /// Binds rows; false if a column holds values of different types, which an array cannot.
    func bind(_ values: ArraySlice<SQLValue>, width: Int, to statement: Statement) throws -> Bool {
        precondition(width == statement.parameterCount, "a bulk statement has one value per place")
        let rows = values.count / width
        var bytes = 8 * values.count
        values.withUnsafeBufferPointer { values in
            for index in values.indices { bytes += values[index].byteCount }
        }
        reserve(width: width, rows: rows, bytes: bytes)
        guard values.withUnsafeBufferPointer({ fill($0, width: width) }) else { return false }
        for column in 0..<width { describe(column) }
        statement.setRowCount(rows)
        try binds.withUnsafeMutableBufferPointer { try statement.bind($0) }
        return true
    }

    private func reserve(width: Int, rows: Int, bytes: Int) {
        let fixed =
            RawMemory.size(rows, of: UInt64.self) + RawMemory.size(rows, of: UInt.self)
            + RawMemory.size(rows, of: CChar.self)
        memory.reset(reserving: width * fixed + bytes)
        if binds.count < width { binds += repeatElement(MYSQL_BIND(), count: width - binds.count) }
        columns.removeAll(keepingCapacity: true)
        for _ in 0..<width {
            columns.append(
                Column(
                    marks: memory.take(rows, of: CChar.self), words: memory.take(rows, of: UInt64.self),
                    lengths: memory.take(rows, of: UInt.self)))
        }
    }

    /// Puts each value where it belongs; false if a column has two types.
    private func fill(_ values: UnsafeBufferPointer<SQLValue>, width: Int) -> Bool {
        columns.withUnsafeMutableBufferPointer { columns in
            var (row, column) = (0, 0)
            for index in values.indices {
                guard fill(values[index], row, &columns[column]) else { return false }
                column += 1
                if column == width { (row, column) = (row + 1, 0) }
            }
            return true
        }
    }

    private func fill(_ value: SQLValue, _ row: Int, _ column: inout Column) -> Bool {
        let type: enum_field_types
        column.marks[row] = CChar(STMT_INDICATOR_NONE.rawValue)
        switch value {
        case .null:
            column.marks[row] = CChar(STMT_INDICATOR_NULL.rawValue)
            // Nobody reads what stands there; an address must be one all the same.
            column.words[row] = UInt64(UInt(bitPattern: column.words))
            column.lengths[row] = 0
            return true
        case .integer(let integer):
            type = MYSQL_TYPE_LONGLONG
            column.words[row] = UInt64(bitPattern: integer)
        case .double(let double):
            type = MYSQL_TYPE_DOUBLE
            column.words[row] = double.bitPattern
        case .text, .blob, .id:
            type = value.wireType
            let count = value.byteCount
            let bytes = memory.take(count, of: UInt8.self)
            if count > 0 { value.copyBytes(to: bytes) }
            column.words[row] = UInt64(UInt(bitPattern: bytes))
            column.lengths[row] = UInt(count)
        }
        if column.type == type { return true }
        guard column.type == MYSQL_TYPE_NULL else { return false }
        column.type = type
        return true
    }

    private func describe(_ index: Int) {
        let column = columns[index]
        cm_clear(&binds[index])
        cm_set_indicators(&binds[index], column.marks)
        binds[index].buffer = UnsafeMutableRawPointer(column.words)
        binds[index].buffer_type = column.type == MYSQL_TYPE_NULL ? MYSQL_TYPE_STRING : column.type
        switch column.type {
        case MYSQL_TYPE_LONGLONG, MYSQL_TYPE_DOUBLE: break
        default: binds[index].length = column.lengths
        }
    }
}
