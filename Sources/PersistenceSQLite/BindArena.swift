import GRDBSQLite
import NIOCore
import Persistence

/// The memory of bound values while a statement runs.
///
/// SQLite would copy each value on its own (`SQLITE_TRANSIENT`), with an allocation per value. Here they lie one after
/// the other in memory that is used again for the next row; a statement is reset before its values are replaced.
final class BindArena {
    private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4_096, alignment: 8)

    deinit { memory.deallocate() }

    /// Binds all values of a statement.
    ///
    /// - Throws: `DatabaseError` of class `data` for a value that is beyond SQLite's limit.
    func bind(_ values: UnsafeBufferPointer<SQLValue>, to statement: OpaquePointer) throws {
        precondition(
            values.count == Int(sqlite3_bind_parameter_count(statement)), "a statement has one value per place")
        // Where they lie: a copy of a value counts its references.
        var count = 0
        for index in values.indices { count += values[index].byteCount }
        reserve(count)
        var used = 0
        for index in values.indices {
            let result = bind(values[index], at: Int32(index + 1), of: statement, using: &used)
            guard result == SQLITE_OK else { throw SQLiteFailure.error(code: result) }
        }
    }

    private func bind(_ value: SQLValue, at place: Int32, of statement: OpaquePointer, using used: inout Int) -> Int32 {
        switch value {
        case .null:
            return sqlite3_bind_null(statement, place)
        case .integer(let integer):
            return sqlite3_bind_int64(statement, place, integer)
        case .double(let double):
            return sqlite3_bind_double(statement, place, double)
        case .text(let text):
            let bytes = append(text.utf8.count, &used) { target in
                var text = text
                text.withUTF8 { target.copyMemory(from: UnsafeRawBufferPointer($0)) }
            }
            return sqlite3_bind_text64(
                statement, place, bytes.baseAddress, UInt64(bytes.count), nil, UInt8(SQLITE_UTF8))
        case .blob(let buffer):
            let bytes = append(buffer.readableBytes, &used) { target in
                buffer.withUnsafeReadableBytes { target.copyMemory(from: $0) }
            }
            return sqlite3_bind_blob64(statement, place, bytes.baseAddress, UInt64(bytes.count), nil)
        case .id(let id):
            let bytes = append(16, &used) { target in
                target.storeBytes(of: id.high.bigEndian, as: UInt64.self)
                target.storeBytes(of: id.low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            return sqlite3_bind_blob64(statement, place, bytes.baseAddress, 16, nil)
        }
    }

    private func append(
        _ count: Int, _ used: inout Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void
    ) -> UnsafeMutableRawBufferPointer {
        let target = UnsafeMutableRawBufferPointer(rebasing: memory[used..<used + count])
        if count > 0 { fill(target) }
        used += count
        return target
    }

    /// Makes room for all values of a row, before the first address is given away.
    private func reserve(_ count: Int) {
        guard count > memory.count || (memory.count > 1 << 20 && count < 1 << 16) else { return }
        memory.deallocate()
        memory = .allocate(byteCount: max(4_096, count), alignment: 8)
    }
}
