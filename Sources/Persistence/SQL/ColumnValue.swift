public import NIOCore

/// A type that a column can be read as.
public protocol ColumnValue {
    /// Reads a column that is not NULL; throws `DatabaseError` of class `data` if it holds something else.
    init(_ row: borrowing Row, _ column: Int) throws
}

extension Int64: ColumnValue {
    /// An integer.
    public init(_ row: borrowing Row, _ column: Int) throws { self = try row.integer(column) }
}

extension Int: ColumnValue {
    /// An integer.
    public init(_ row: borrowing Row, _ column: Int) throws { self = Int(try row.integer(column)) }
}

extension UInt32: ColumnValue {
    /// An integer from 0 to 4,294,967,295.
    public init(_ row: borrowing Row, _ column: Int) throws {
        guard let value = UInt32(exactly: try row.integer(column)) else { throw row.mismatch(column, "in range") }
        self = value
    }
}

extension Bool: ColumnValue {
    /// Any integer but 0 is true.
    public init(_ row: borrowing Row, _ column: Int) throws { self = try row.integer(column) != 0 }
}

extension Double: ColumnValue {
    /// A number.
    public init(_ row: borrowing Row, _ column: Int) throws { self = try row.double(column) }
}

extension String: ColumnValue {
    /// Text.
    public init(_ row: borrowing Row, _ column: Int) throws { self = try row.text(column) }
}

extension ByteBuffer: ColumnValue {
    /// Bytes.
    public init(_ row: borrowing Row, _ column: Int) throws {
        self = try row.withBytes(column) { ByteBuffer(bytes: $0) }
    }
}

extension UniqueID: ColumnValue {
    /// 16 bytes.
    public init(_ row: borrowing Row, _ column: Int) throws {
        let id = try row.withBytes(column) { bytes -> UniqueID? in
            guard bytes.count == 16 else { return nil }
            return UniqueID(
                high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
        guard let id else { throw row.mismatch(column, "an identifier of 16 bytes") }
        self = id
    }
}

extension Timestamp: ColumnValue {
    /// Microseconds since 1970.
    public init(_ row: borrowing Row, _ column: Int) throws { self.init(microseconds: try row.integer(column)) }
}
