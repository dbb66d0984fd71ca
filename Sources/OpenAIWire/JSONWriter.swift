public import NIOCore

/// Writes JSON of our own, for small objects: commas and escaping are taken care of, nesting is the caller's closures.
///
/// ```swift
/// let body = JSONWriter.object { json in
///     json.member("id", "sess_1")
///     json.array("data") { $0.element(object: { $0.member("n", 1) }) }
/// }
/// ```
public struct JSONWriter: Sendable {
    private var bytes = ByteBuffer()
    private var needsComma = false

    /// The text of an object whose members `body` writes.
    public static func object<Failure: Error>(
        _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) -> ByteBuffer {
        var writer = JSONWriter()
        try writer.nested(ASCII.openBrace, ASCII.closeBrace, body)
        return writer.bytes
    }

    /// The text of an array whose elements `body` writes.
    public static func array<Failure: Error>(
        _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) -> ByteBuffer {
        var writer = JSONWriter()
        try writer.nested(ASCII.openBracket, ASCII.closeBracket, body)
        return writer.bytes
    }

    /// The text of a string.
    public static func string(_ string: String) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeJSONString(string)
        return bytes
    }

    /// A string member.
    public mutating func member(_ key: String, _ value: String) {
        self.key(key)
        bytes.writeJSONString(value)
    }

    /// A string member, or `null`.
    public mutating func member(_ key: String, _ value: String?) {
        if let value { member(key, value) } else { null(key) }
    }

    /// A number member.
    public mutating func member(_ key: String, _ value: Int) {
        self.key(key)
        bytes.writeString(String(value))
    }

    /// A number member; what JSON cannot say (infinities, not a number) becomes `null`.
    public mutating func member(_ key: String, _ value: Double) {
        self.key(key)
        bytes.writeString(value.isFinite ? "\(value)" : "null")
    }

    /// A boolean member.
    public mutating func member(_ key: String, _ value: Bool) {
        self.key(key)
        bytes.writeStaticString(value ? "true" : "false")
    }

    /// A member whose value is a JSON text already, taken as it is.
    public mutating func member(_ key: String, json: ByteBuffer) {
        self.key(key)
        bytes.writeImmutableBuffer(json)
    }

    /// A `null` member.
    public mutating func null(_ key: String) {
        self.key(key)
        bytes.writeStaticString("null")
    }

    /// A member that is an object.
    public mutating func object<Failure: Error>(
        _ key: String, _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        self.key(key)
        try nested(ASCII.openBrace, ASCII.closeBrace, body)
    }

    /// A member that is an array.
    public mutating func array<Failure: Error>(
        _ key: String, _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        self.key(key)
        try nested(ASCII.openBracket, ASCII.closeBracket, body)
    }

    /// A string element.
    public mutating func element(_ value: String) {
        separate()
        bytes.writeJSONString(value)
    }

    /// A number element.
    public mutating func element(_ value: Int) {
        separate()
        bytes.writeString(String(value))
    }

    /// An element that is a JSON text already, taken as it is.
    public mutating func element(json: ByteBuffer) {
        separate()
        bytes.writeImmutableBuffer(json)
    }

    /// An element that is an object.
    public mutating func element<Failure: Error>(
        object body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        separate()
        try nested(ASCII.openBrace, ASCII.closeBrace, body)
    }

    private mutating func key(_ key: String) {
        separate()
        bytes.writeJSONString(key)
        bytes.writeInteger(ASCII.colon)
    }

    private mutating func separate() {
        if needsComma { bytes.writeInteger(ASCII.comma) }
        needsComma = true
    }

    private mutating func nested<Failure: Error>(
        _ open: UInt8, _ close: UInt8, _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        bytes.writeInteger(open)
        needsComma = false
        try body(&self)
        bytes.writeInteger(close)
        needsComma = true
    }
}

extension ByteBuffer {
    /// Appends `string` as a JSON string, quotes included.
    mutating func writeJSONString(_ string: String) {
        var string = string
        string.withUTF8 { writeJSONString(UnsafeRawBufferPointer($0)) }
    }

    /// Appends the UTF-8 `text` as a JSON string, quotes included.
    mutating func writeJSONString(_ text: UnsafeRawBufferPointer) {
        reserveCapacity(minimumWritableBytes: text.count + 2)
        writeInteger(ASCII.quote)
        JSONText.escape(text) { writeBytes($0) }
        writeInteger(ASCII.quote)
    }
}
