import CMariaDB
import Persistence

/// The places where the columns of a row arrive, and the row that is there now. One connection reads one result at a
/// time, so all its statements share these.
///
/// Rows are streamed: nothing is collected. Text and bytes have 4 KiB at first; a longer value makes its column's
/// place grow and is fetched again, and what has grown far is given back behind the result.
final class ResultBinds: RowSource {
    private static let ordinarySize = 4_096
    private static let keptSize = 1 << 18

    private struct Column {
        var kind = ColumnKind.null
        var isUnsigned = false
        var bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    /// What libmariadb writes about a column; it keeps the address.
    private struct Slot {
        var number: UInt64 = 0
        var length: UInt = 0
        var isNull: my_bool = 0
        var isTruncated: my_bool = 0
    }

    private(set) var columnCount = 0
    private var columns: [Column] = []
    private var capacity = 0
    private var binds = UnsafeMutablePointer<MYSQL_BIND>.allocate(capacity: 1)
    private var slots = UnsafeMutablePointer<Slot>.allocate(capacity: 1)

    deinit {
        for column in columns { column.bytes.deallocate() }
        binds.deallocate()
        slots.deallocate()
    }

    /// Prepares for the rows of a statement that was executed.
    func attach(to statement: Statement) throws {
        columnCount = statement.fieldCount
        reserve(columnCount)
        for column in 0..<columnCount { describe(column, statement.field(column)) }
        if columnCount > 0 { try statement.bindResult(binds) }
    }

    /// Moves to the next row; false behind the last one.
    func next(of statement: Statement) throws -> Bool {
        guard try statement.fetch() else { return false }
        var hasGrown = false
        for column in 0..<columnCount where isCut(column) {
            grow(column)
            try statement.fetchColumn(column, into: binds + column)
            hasGrown = true
        }
        // The next rows go to the new places too.
        if hasGrown { try statement.bindResult(binds) }
        return true
    }

    /// Gives back what a long value needed.
    func trim() {
        for column in 0..<columnCount where columns[column].bytes.count > Self.keptSize {
            resize(column, to: Self.ordinarySize)
        }
        columnCount = 0
    }

    // MARK: Places

    private func reserve(_ count: Int) {
        guard count > capacity else { return }
        binds.deallocate()
        slots.deallocate()
        binds = .allocate(capacity: count)
        slots = .allocate(capacity: count)
        slots.initialize(repeating: Slot(), count: count)
        columns += repeatElement(Column(), count: count - columns.count)
        capacity = count
    }

    private func describe(_ column: Int, _ field: MYSQL_FIELD) {
        var field = field
        cm_clear(binds + column)
        slots[column] = Slot()
        columns[column].kind = Self.kind(field.type, isBinary: cm_is_binary(&field) != 0)
        columns[column].isUnsigned = field.flags & UInt32(UNSIGNED_FLAG) != 0
        let slot = UnsafeMutableRawPointer(slots + column)
        binds[column].is_null = at(slot, \Slot.isNull)
        binds[column].length = at(slot, \Slot.length)
        binds[column].error = at(slot, \Slot.isTruncated)
        switch columns[column].kind {
        case .integer, .double:
            binds[column].buffer = slot
            binds[column].buffer_length = 8
            binds[column].buffer_type = columns[column].kind == .integer ? MYSQL_TYPE_LONGLONG : MYSQL_TYPE_DOUBLE
            binds[column].is_unsigned = columns[column].isUnsigned ? 1 : 0
        case .text, .blob, .null:
            if columns[column].bytes.count == 0 { resize(column, to: Self.ordinarySize) }
            point(column, columns[column].kind == .blob ? MYSQL_TYPE_BLOB : MYSQL_TYPE_STRING)
        }
    }

    private func at<Field>(_ slot: UnsafeMutableRawPointer, _ field: KeyPath<Slot, Field>) -> UnsafeMutablePointer<
        Field
    > {
        guard let offset = MemoryLayout<Slot>.offset(of: field) else { preconditionFailure("a stored property") }
        return (slot + offset).assumingMemoryBound(to: Field.self)
    }

    /// Types that are none of ours (decimals, dates) come as text, so that nobody takes them for a number.
    private static func kind(_ type: enum_field_types, isBinary: Bool) -> ColumnKind {
        switch type {
        case MYSQL_TYPE_TINY, MYSQL_TYPE_SHORT, MYSQL_TYPE_INT24, MYSQL_TYPE_LONG, MYSQL_TYPE_LONGLONG, MYSQL_TYPE_YEAR:
            .integer
        case MYSQL_TYPE_FLOAT, MYSQL_TYPE_DOUBLE: .double
        case MYSQL_TYPE_TINY_BLOB, MYSQL_TYPE_MEDIUM_BLOB, MYSQL_TYPE_LONG_BLOB, MYSQL_TYPE_BLOB, MYSQL_TYPE_STRING,
            MYSQL_TYPE_VAR_STRING, MYSQL_TYPE_VARCHAR, MYSQL_TYPE_BIT:
            isBinary ? .blob : .text
        case MYSQL_TYPE_NULL: .null
        default: .text
        }
    }

    private func isCut(_ column: Int) -> Bool {
        columns[column].bytes.count > 0 && isBytes(column) && slots[column].isNull == 0
            && slots[column].length > UInt(columns[column].bytes.count)
    }

    private func isBytes(_ column: Int) -> Bool { columns[column].kind == .text || columns[column].kind == .blob }

    private func grow(_ column: Int) {
        let needed = Int(slots[column].length)
        resize(column, to: needed + needed / 4)
        point(column, binds[column].buffer_type)
    }

    private func resize(_ column: Int, to count: Int) {
        columns[column].bytes.deallocate()
        columns[column].bytes = .allocate(byteCount: count, alignment: 8)
    }

    private func point(_ column: Int, _ type: enum_field_types) {
        binds[column].buffer = columns[column].bytes.baseAddress
        binds[column].buffer_length = UInt(columns[column].bytes.count)
        binds[column].buffer_type = type
    }

    // MARK: Reading

    func kind(_ column: Int) -> ColumnKind {
        if slots[column].isNull != 0 { return .null }
        // More than a signed integer holds.
        if columns[column].kind == .integer, columns[column].isUnsigned, slots[column].number > UInt64(Int64.max) {
            return .double
        }
        return columns[column].kind
    }

    func integer(_ column: Int) -> Int64 { Int64(bitPattern: slots[column].number) }

    func double(_ column: Int) -> Double {
        columns[column].kind == .integer ? Double(slots[column].number) : Double(bitPattern: slots[column].number)
    }

    func withBytes<Result>(_ column: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        let bytes = columns[column].bytes[..<Int(slots[column].length)]
        return try body(UnsafeRawBufferPointer(rebasing: bytes))
    }
}
