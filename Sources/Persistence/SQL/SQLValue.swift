public import NIOCore

/// One value on its way into a statement.
///
/// What is a value is bound, never written into the text of a statement: see `SQL`.
public enum SQLValue: Sendable, Hashable {
    /// NULL.
    case null
    /// A signed 64-bit integer; booleans are 0 and 1.
    case integer(Int64)
    /// A double. Not for money, and not for anything that is compared for equality.
    case double(Double)
    /// Text. It may contain NULs, and every character of Unicode.
    case text(String)
    /// Bytes: the readable part of the buffer.
    case blob(ByteBuffer)
    /// The 16 bytes of an identifier, without the allocation that a buffer costs.
    case id(UniqueID)

    /// How many bytes it adds to a statement, for the byte limits of batches.
    package var byteCount: Int {
        switch self {
        case .null: 0
        case .integer, .double: 8
        case .text(let text): text.utf8.count
        case .blob(let bytes): bytes.readableBytes
        case .id: 16
        }
    }
}

/// What can be interpolated into `SQL` as a value.
public protocol SQLBindable {
    /// The value to bind.
    var sqlValue: SQLValue { get }
}

extension SQLValue: SQLBindable {
    /// Itself.
    public var sqlValue: SQLValue { self }
}

extension Int: SQLBindable {
    /// An integer.
    public var sqlValue: SQLValue { .integer(Int64(self)) }
}

extension Int64: SQLBindable {
    /// An integer.
    public var sqlValue: SQLValue { .integer(self) }
}

extension UInt32: SQLBindable {
    /// An integer.
    public var sqlValue: SQLValue { .integer(Int64(self)) }
}

extension Bool: SQLBindable {
    /// 0 or 1.
    public var sqlValue: SQLValue { .integer(self ? 1 : 0) }
}

extension Double: SQLBindable {
    /// A double.
    public var sqlValue: SQLValue { .double(self) }
}

extension String: SQLBindable {
    /// Text.
    public var sqlValue: SQLValue { .text(self) }
}

extension ByteBuffer: SQLBindable {
    /// The readable bytes.
    public var sqlValue: SQLValue { .blob(self) }
}

extension UniqueID: SQLBindable {
    /// 16 bytes.
    public var sqlValue: SQLValue { .id(self) }
}

extension Timestamp: SQLBindable {
    /// Microseconds since 1970.
    public var sqlValue: SQLValue { .integer(microseconds) }
}

extension Optional: SQLBindable where Wrapped: SQLBindable {
    /// The value, or NULL.
    public var sqlValue: SQLValue { self?.sqlValue ?? .null }
}
