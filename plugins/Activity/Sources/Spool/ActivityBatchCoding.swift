import NIOCore
import Persistence

/// Rows as one record of a journal: their values as they are bound, so that what was spooled by one release can be
/// stored by a later one, which may have more columns behind these.
enum ActivityBatchCoding {
    private static let version: UInt8 = 1

    /// A record that no release of this kind has written.
    struct Unreadable: Error {}

    private enum Tag: UInt8 {
        case null, integer, double, text, blob, id
    }

    static func encode(_ rows: [ActivityRow]) -> ByteBuffer {
        let values = ActivityRow.values(of: rows).values
        var bytes = ByteBuffer()
        bytes.writeInteger(version)
        bytes.writeInteger(UInt8(ActivityRow.columns.count))
        for value in values { write(value, to: &bytes) }
        return bytes
    }

    /// How many columns the rows have, and the values of all rows, one row after the other.
    static func decode(_ record: ByteBuffer) throws -> (columns: Int, values: [SQLValue]) {
        var bytes = record
        guard bytes.readInteger(as: UInt8.self) == version, let columns = bytes.readInteger(as: UInt8.self),
            (1...ActivityRow.columns.count).contains(Int(columns))
        else { throw Unreadable() }
        var values: [SQLValue] = []
        while bytes.readableBytes > 0 { values.append(try read(&bytes)) }
        guard values.count % Int(columns) == 0 else { throw Unreadable() }
        return (Int(columns), values)
    }

    private static func write(_ value: SQLValue, to bytes: inout ByteBuffer) {
        switch value {
        case .null: bytes.writeInteger(Tag.null.rawValue)
        case .integer(let number): bytes.writeMultipleIntegers(Tag.integer.rawValue, number)
        case .double(let number): bytes.writeMultipleIntegers(Tag.double.rawValue, number.bitPattern)
        case .text(let text):
            bytes.writeMultipleIntegers(Tag.text.rawValue, UInt32(text.utf8.count))
            bytes.writeString(text)
        case .blob(let blob):
            bytes.writeMultipleIntegers(Tag.blob.rawValue, UInt32(blob.readableBytes))
            bytes.writeImmutableBuffer(blob)
        case .id(let id): bytes.writeMultipleIntegers(Tag.id.rawValue, id.high, id.low)
        }
    }

    private static func read(_ bytes: inout ByteBuffer) throws -> SQLValue {
        guard let tag = bytes.readInteger(as: UInt8.self).flatMap(Tag.init(rawValue:)) else { throw Unreadable() }
        let value: SQLValue? =
            switch tag {
            case .null: .null
            case .integer: bytes.readInteger().map { .integer($0) }
            case .double: bytes.readInteger().map { .double(Double(bitPattern: $0)) }
            case .text: try length(&bytes).flatMap { bytes.readString(length: $0) }.map { .text($0) }
            case .blob: try length(&bytes).flatMap { bytes.readSlice(length: $0) }.map { .blob($0) }
            case .id: bytes.readMultipleIntegers().map { .id(UniqueID(high: $0, low: $1)) }
            }
        guard let value else { throw Unreadable() }
        return value
    }

    private static func length(_ bytes: inout ByteBuffer) throws -> Int? {
        bytes.readInteger(as: UInt32.self).map { Int($0) }
    }
}
