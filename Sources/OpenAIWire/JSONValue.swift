public import NIOCore

/// One value inside a JSON text: its bytes as they came, and what kind it is. Nothing is decoded until it is asked for.
///
/// The bytes share the memory of the text they lie in, so a value that is kept for long keeps all of that text.
/// The accessors answer nil where the value is of another kind.
public struct JSONValue: Sendable, Hashable {
    /// What a value begins as.
    public enum Kind: Sendable, Hashable {
        case object, array, string, number, `true`, `false`, null
    }

    /// What kind of value it is.
    public let kind: Kind
    /// The value's text, without white space around it.
    public let bytes: ByteBuffer

    init(kind: Kind, bytes: ByteBuffer) {
        self.kind = kind
        self.bytes = bytes
    }

    /// The value that is the whole of `bytes`, white space around it aside.
    public init(scanning bytes: ByteBuffer) throws(WireError) {
        let (kind, range) = try bytes.withUnsafeReadableBytes { (text) throws(WireError) in
            var scanner = JSONScanner(text)
            scanner.skipWhitespace()
            let start = scanner.position
            let kind = try scanner.skipValue()
            let range = start..<scanner.position
            try scanner.expectEnd()
            return (kind, range)
        }
        self.init(kind: kind, bytes: bytes.span(range))
    }

    /// Whether the value is `null`.
    public var isNull: Bool { kind == .null }

    /// The text of a string, unescaped; lone surrogates and invalid UTF-8 become U+FFFD. Nil for a malformed escape too.
    public var string: String? {
        guard kind == .string else { return nil }
        return withEscapedText(JSONText.string)
    }

    /// The UTF-8 of a string, unescaped, as bytes: for what is large or need not become a `String`.
    public var text: ByteBuffer? {
        guard kind == .string else { return nil }
        let inside = bytes.span(1..<bytes.readableBytes - 1)
        let unescaped: [UInt8]? = inside.withUnsafeReadableBytes { text in
            text.contains(ASCII.backslash, in: 0..<text.count) ? JSONText.unescaped(text) ?? [] : nil
        }
        return unescaped.map { ByteBuffer(bytes: $0) } ?? inside
    }

    /// `true` or `false`.
    public var bool: Bool? {
        switch kind {
        case .true: true
        case .false: false
        case .object, .array, .string, .number, .null: nil
        }
    }

    /// A number without a fraction (`3`, `3.0`, `3e2`) that fits.
    public var int: Int? {
        guard kind == .number else { return nil }
        let digits = String(buffer: bytes)
        return Int(digits) ?? Double(digits).flatMap(Int.init(exactly:))
    }

    /// A number, rounded to the nearest representable one.
    public var double: Double? {
        guard kind == .number else { return nil }
        return Double(String(buffer: bytes))
    }

    /// The members of an object, nil for another kind.
    public func object() throws(WireError) -> JSONObject? {
        guard kind == .object else { return nil }
        return try JSONObject(scanning: bytes)
    }

    /// The elements of an array, nil for another kind.
    public func array() throws(WireError) -> [JSONValue]? {
        guard kind == .array else { return nil }
        return try JSONArray.elements(of: bytes)
    }

    /// What stands between a string's quotes; call it for strings only.
    func withEscapedText<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeReadableBytes { body($0.slice(1..<$0.count - 1)) }
    }
}

extension ByteBuffer {
    /// The readable bytes at `range`, counted from the reader index, sharing memory.
    func span(_ range: Range<Int>) -> ByteBuffer {
        guard let slice = getSlice(at: readerIndex + range.lowerBound, length: range.count) else {
            preconditionFailure("A span lies within the bytes it was found in.")
        }
        return slice
    }
}
