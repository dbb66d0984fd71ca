/// The inside of JSON strings: escaping and unescaping.
enum JSONText {
    private static let replacement: UInt32 = 0xFFFD

    /// The string whose escaped inside is `bytes`, or nil where an escape is malformed. A lone surrogate and what is
    /// not UTF-8 become U+FFFD: a Swift string cannot hold them.
    static func string(_ bytes: UnsafeRawBufferPointer) -> String? {
        if !bytes.contains(ASCII.backslash, in: 0..<bytes.count) {
            return String(decoding: bytes, as: UTF8.self)
        }
        return unescaped(bytes).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The UTF-8 bytes that the escaped inside of a string stands for, or nil where an escape is malformed.
    static func unescaped(_ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var start = 0
        while let backslash = bytes.first(ASCII.backslash, from: start) {
            result.append(contentsOf: bytes.slice(start..<backslash))
            guard let end = unescape(bytes, at: backslash, into: &result) else { return nil }
            start = end
        }
        result.append(contentsOf: bytes.slice(start..<bytes.count))
        return result
    }

    /// Appends what the escape at `at` stands for and returns the offset behind it.
    private static func unescape(_ bytes: UnsafeRawBufferPointer, at: Int, into result: inout [UInt8]) -> Int? {
        guard at + 1 < bytes.count else { return nil }
        switch bytes[at + 1] {
        case ASCII.quote, ASCII.backslash, UInt8(ascii: "/"): result.append(bytes[at + 1])
        case UInt8(ascii: "b"): result.append(0x08)
        case UInt8(ascii: "f"): result.append(0x0C)
        case UInt8(ascii: "n"): result.append(ASCII.lineFeed)
        case UInt8(ascii: "r"): result.append(ASCII.carriageReturn)
        case UInt8(ascii: "t"): result.append(ASCII.tab)
        case UInt8(ascii: "u"): return unescapeUnicode(bytes, at: at, into: &result)
        default: return nil
        }
        return at + 2
    }

    private static func unescapeUnicode(
        _ bytes: UnsafeRawBufferPointer, at: Int, into result: inout [UInt8]
    ) -> Int? {
        guard let unit = codeUnit(bytes, at: at) else { return nil }
        var end = at + 6
        var scalar = unit
        if unit >= 0xD800, unit < 0xDC00, let low = codeUnit(bytes, at: end), low >= 0xDC00, low < 0xE000 {
            scalar = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
            end += 6
        }
        let character = Unicode.Scalar(scalar) ?? Unicode.Scalar(replacement)!
        result.append(contentsOf: UTF8.encode(character)!)
        return end
    }

    /// The UTF-16 code unit of the `\uXXXX` at `at`.
    private static func codeUnit(_ bytes: UnsafeRawBufferPointer, at: Int) -> UInt32? {
        guard at + 6 <= bytes.count, bytes[at] == ASCII.backslash, bytes[at + 1] == UInt8(ascii: "u") else {
            return nil
        }
        var unit: UInt32 = 0
        for offset in 2..<6 {
            guard let digit = ASCII.hexValue(bytes[at + offset]) else { return nil }
            unit = unit << 4 | digit
        }
        return unit
    }

    /// Hands out `bytes`, which must be UTF-8, as runs that need no escape and escapes for what JSON requires one for.
    static func escape(_ bytes: UnsafeRawBufferPointer, _ write: (UnsafeRawBufferPointer) -> Void) {
        var start = 0
        for index in bytes.indices where needsEscape(bytes[index]) {
            if start < index { write(bytes.slice(start..<index)) }
            withUnsafeBytes(of: escape(bytes[index])) { escape in
                write(escape.slice(0..<(escape[1] == UInt8(ascii: "u") ? 6 : 2)))
            }
            start = index + 1
        }
        if start < bytes.count { write(bytes.slice(start..<bytes.count)) }
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == ASCII.quote || byte == ASCII.backslash
    }

    /// The two bytes of a short escape, or the six of a `\u00XX`.
    private static func escape(_ byte: UInt8) -> (UInt8, UInt8, UInt8, UInt8, UInt8, UInt8) {
        func short(_ letter: Unicode.Scalar) -> (UInt8, UInt8, UInt8, UInt8, UInt8, UInt8) {
            (ASCII.backslash, UInt8(ascii: letter), 0, 0, 0, 0)
        }
        switch byte {
        case ASCII.quote: return short("\"")
        case ASCII.backslash: return short("\\")
        case 0x08: return short("b")
        case 0x0C: return short("f")
        case ASCII.lineFeed: return short("n")
        case ASCII.carriageReturn: return short("r")
        case ASCII.tab: return short("t")
        default:
            let low = byte & 0x0F
            let digit = low < 10 ? ASCII.zero + low : UInt8(ascii: "a") + low - 10
            return (ASCII.backslash, UInt8(ascii: "u"), ASCII.zero, ASCII.zero, ASCII.zero + (byte >> 4), digit)
        }
    }
}
