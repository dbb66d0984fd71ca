import CMariaDB
import Persistence

/// Binds the values of many rows as one array per column, so that one execution writes them all: 5 to 7 times faster
/// than row by row.
///
/// An array of integers lies in one piece; text and bytes are an array of addresses and one of lengths. NULLs are
/// marked in an array of bytes.
final class ArrayBinds {
    private let memory = RawMemory()
    private var binds: [MYSQL_BIND] = []

    /// Binds rows; false if a column holds values of different types, which an array cannot.
    func bind(_ values: ArraySlice<SQLValue>, width: Int, to statement: Statement) throws -> Bool {
        precondition(width == statement.parameterCount, "a bulk statement has one value per place")
        let count = values.count / width
        guard let types = Self.types(values, width: width) else { return false }
        memory.reset(reserving: Self.size(values, width: width, rows: count))
        if binds.count < width { binds += repeatElement(MYSQL_BIND(), count: width - binds.count) }
        for column in 0..<width {
            cm_clear(&binds[column])
            binds[column].buffer_type = types[column]
            fill(column, values, width: width, rows: count)
        }
        statement.setRowCount(count)
        try binds.withUnsafeMutableBufferPointer { try statement.bind($0) }
        return true
    }

    /// The type of each column: that of its values which are not NULL.
    private static func types(_ values: ArraySlice<SQLValue>, width: Int) -> [enum_field_types]? {
        var types = Array(repeating: MYSQL_TYPE_NULL, count: width)
        for (index, value) in values.enumerated() {
            let type = value.wireType
            guard type != MYSQL_TYPE_NULL, types[index % width] != type else { continue }
            guard types[index % width] == MYSQL_TYPE_NULL else { return nil }
            types[index % width] = type
        }
        return types.map { $0 == MYSQL_TYPE_NULL ? MYSQL_TYPE_STRING : $0 }
    }

    private static func size(_ values: ArraySlice<SQLValue>, width: Int, rows: Int) -> Int {
        let fixed = 2 * RawMemory.size(rows, of: UInt.self) + RawMemory.size(rows, of: CChar.self)
        return values.reduce(width * fixed) { $0 + $1.byteCount + 8 }
    }

    private func fill(_ column: Int, _ values: ArraySlice<SQLValue>, width: Int, rows: Int) {
        let places = stride(from: values.startIndex + column, to: values.endIndex, by: width)
        markNulls(column, places.lazy.map { values[$0] == .null }, rows: rows)
        switch binds[column].buffer_type {
        case MYSQL_TYPE_LONGLONG:
            let target = memory.take(rows, of: Int64.self)
            for (row, place) in places.enumerated() {
                if case .integer(let integer) = values[place] { target[row] = integer } else { target[row] = 0 }
            }
            binds[column].buffer = UnsafeMutableRawPointer(target)
        case MYSQL_TYPE_DOUBLE:
            let target = memory.take(rows, of: Double.self)
            for (row, place) in places.enumerated() {
                if case .double(let double) = values[place] { target[row] = double } else { target[row] = 0 }
            }
            binds[column].buffer = UnsafeMutableRawPointer(target)
        default:
            fillBytes(column, places.lazy.map { values[$0] }, rows: rows)
        }
    }

    private func fillBytes(_ column: Int, _ values: some Sequence<SQLValue>, rows: Int) {
        let addresses = memory.take(rows, of: UnsafeMutablePointer<UInt8>.self)
        let lengths = memory.take(rows, of: UInt.self)
        for (row, value) in values.enumerated() {
            let count = value.byteCount
            addresses[row] = memory.take(count, of: UInt8.self)
            lengths[row] = UInt(count)
            if count > 0 { value.copyBytes(to: addresses[row]) }
        }
        binds[column].buffer = UnsafeMutableRawPointer(addresses)
        binds[column].length = lengths
    }

    private func markNulls(_ column: Int, _ isNull: some Sequence<Bool>, rows: Int) {
        let marks = memory.take(rows, of: CChar.self)
        for (row, isNull) in isNull.enumerated() {
            marks[row] = CChar(isNull ? STMT_INDICATOR_NULL.rawValue : STMT_INDICATOR_NONE.rawValue)
        }
        cm_set_indicators(&binds[column], marks)
    }
}
