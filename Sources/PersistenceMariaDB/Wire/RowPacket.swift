import CMariaDB
import Persistence

/// The command that runs a statement for many rows, put together in memory that is used again.
///
/// libmariadb would make it from one array per column, looking at each value three times; here the values lie already as
/// they are sent, so that they are copied in one piece. The layout is that of `COM_STMT_BULK_EXECUTE` in MariaDB's
/// documentation of its protocol: statement, flags, a type per column, rows.
final class RowPacket {
    /// The types of the columns stand in the packet.
    private static let sendsTypes: UInt16 = 128

    private let memory = RawMemory()

    /// The command without its first byte; it is there until the next one is put together.
    func fill(_ rows: UnsafeRawBufferPointer, _ kinds: [BulkRows.Kind], statement: UInt32) -> UnsafeRawBufferPointer {
        let header = 6 + 2 * kinds.count
        memory.reset(reserving: header + rows.count + 8)
        let packet = UnsafeMutableRawPointer(memory.take(header + rows.count, of: UInt8.self))
        packet.storeBytes(of: statement.littleEndian, as: UInt32.self)
        packet.storeBytes(of: Self.sendsTypes.littleEndian, toByteOffset: 4, as: UInt16.self)
        for (column, kind) in kinds.enumerated() {
            // The second byte: no flags, so signed.
            packet.storeBytes(of: kind.wireType.littleEndian, toByteOffset: 6 + 2 * column, as: UInt16.self)
        }
        if let start = rows.baseAddress { (packet + header).copyMemory(from: start, byteCount: rows.count) }
        return UnsafeRawBufferPointer(start: packet, count: header + rows.count)
    }
}

extension BulkRows.Kind {
    fileprivate var wireType: UInt16 {
        let type =
            switch self {
            case .integer: MYSQL_TYPE_LONGLONG
            case .double: MYSQL_TYPE_DOUBLE
            case .text, .unknown: MYSQL_TYPE_STRING
            case .blob: MYSQL_TYPE_BLOB
            }
        return UInt16(type.rawValue)
    }
}
