import struct Crypto.SHA256

/// An encoding of JSON values in which equal values have equal bytes, however they were written: the order of keys,
/// white space, escapes and the spelling of numbers do not matter; numbers are compared exactly, not as doubles.
///
/// Every item is a tag, a length and its bytes, so no two different values share an encoding. An object or array
/// longer than `inlineLimit` is replaced by its SHA-256, which keeps the work linear in the text however deep it is.
struct CanonicalJSON {
    /// Deeper or larger values are refused, and compared by their text instead: the bounds keep recursion and work small.
    private static let maximumDepth = 64
    private static let maximumValues = 20_000
    private static let inlineLimit = 64

    private var scanner: JSONScanner
    private var values = 0

    /// The encoding of the JSON text `bytes`.
    static func encoding(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> [UInt8] {
        try JSON.validate(bytes)
        var canonical = CanonicalJSON(scanner: JSONScanner(bytes))
        canonical.scanner.skipWhitespace()
        return try canonical.value(depth: 0)
    }

    private mutating func value(depth: Int) throws(WireError) -> [UInt8] {
        values += 1
        guard values <= Self.maximumValues else { throw .tooLarge("values", limit: Self.maximumValues) }
        guard depth <= Self.maximumDepth else { throw .tooDeep(limit: Self.maximumDepth) }
        switch scanner.current {
        case ASCII.openBrace: return try object(depth: depth)
        case ASCII.openBracket: return try array(depth: depth)
        case ASCII.quote: return try string()
        default: return try scalar()
        }
    }

    private mutating func object(depth: Int) throws(WireError) -> [UInt8] {
        var members: [(key: [UInt8], value: [UInt8], position: Int)] = []
        var isFirst = true
        try scanner.enterObject()
        while let key = try scanner.nextKey(&isFirst) {
            guard let name = JSONText.unescaped(scanner.bytes.slice(key)) else { throw scanner.malformed("an escape") }
            members.append((name, try value(depth: depth + 1), members.count))
        }
        members.sort { one, other in
            one.key == other.key ? one.position < other.position : one.key.lexicographicallyPrecedes(other.key)
        }
        var content: [UInt8] = []
        for (index, member) in members.enumerated() {
            // Of repeated keys the last counts, as for every reader of ours.
            if index + 1 < members.count, members[index + 1].key == member.key { continue }
            content.append(tag: "k", member.key)
            content += member.value
        }
        return Self.container("o", content)
    }

    private mutating func array(depth: Int) throws(WireError) -> [UInt8] {
        var content: [UInt8] = []
        var isFirst = true
        try scanner.enterArray()
        while try scanner.nextElement(&isFirst) { content += try value(depth: depth + 1) }
        return Self.container("a", content)
    }

    private static func container(_ tag: Unicode.Scalar, _ content: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        if content.count > inlineLimit {
            result.append(tag: tag, Array(SHA256.hash(data: content)) + [1])
        } else {
            result.append(tag: tag, content + [0])
        }
        return result
    }

    private mutating func string() throws(WireError) -> [UInt8] {
        let inside = try scanner.skipString()
        guard let text = JSONText.unescaped(scanner.bytes.slice(inside)) else { throw scanner.malformed("an escape") }
        var result: [UInt8] = []
        result.append(tag: "s", text)
        return result
    }

    private mutating func scalar() throws(WireError) -> [UInt8] {
        let start = scanner.position
        let kind = try scanner.skipScalar()
        let text = scanner.bytes[start..<scanner.position]
        var result: [UInt8] = []
        if kind == .number {
            result.append(tag: "n", Self.number(text))
        } else {
            result.append(tag: "l", Array(text))
        }
        return result
    }

    /// A number as its sign, its significant digits and a power of ten: `1200`, `1.2e3` and `12E+2` are `12e2`.
    private static func number(_ text: Slice<UnsafeRawBufferPointer>) -> [UInt8] {
        var digits: [UInt8] = []
        var exponent = 0
        let mantissa = text.prefix { $0 | 0x20 != UInt8(ascii: "e") }
        var isFraction = false
        for byte in mantissa {
            if byte == UInt8(ascii: ".") { isFraction = true }
            guard ASCII.isDigit(byte) else { continue }
            if isFraction { exponent -= 1 }
            if !digits.isEmpty || byte != ASCII.zero { digits.append(byte) }
        }
        guard !digits.isEmpty else { return [ASCII.zero] }
        if mantissa.endIndex < text.endIndex {
            let spelled = text[(mantissa.endIndex + 1)...].drop { $0 == UInt8(ascii: "+") }
            // A power that no Int holds is never equal to another spelling of itself; it is compared as it stands.
            guard let power = Int(String(decoding: spelled, as: UTF8.self)), power.magnitude < 1 << 60 else {
                return Array(text)
            }
            exponent += power
        }
        while digits.last == ASCII.zero {
            digits.removeLast()
            exponent += 1
        }
        let sign: [UInt8] = text.first == ASCII.minus ? [ASCII.minus] : []
        return sign + digits + Array("e\(exponent)".utf8)
    }
}

extension [UInt8] {
    /// Appends one item of a canonical encoding: its tag, its length in eight bytes, its bytes.
    mutating func append(tag: Unicode.Scalar, _ bytes: some Collection<UInt8>) {
        append(UInt8(ascii: tag))
        Swift.withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { append(contentsOf: $0) }
        append(contentsOf: bytes)
    }
}
