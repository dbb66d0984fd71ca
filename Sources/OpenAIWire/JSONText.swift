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

    /// Whether the escaped inside `bytes` of a string stands for the UTF-8 of `text`: found without decoding more than
    /// the first difference needs, and without memory, because whoever writes a million escaped keys pays for none.
    static func unescaped(_ bytes: UnsafeRawBufferPointer, equals text: UnsafeRawBufferPointer) -> Bool {
        // An escape has two to six bytes and stands for one to four.
        guard bytes.count > text.count, bytes.count <= 6 * text.count else { return false }
        var (at, matched) = (0, 0)
        while at < bytes.count {
            guard bytes[at] == ASCII.backslash else {
                guard matched < text.count, bytes[at] == text[matched] else { return false }
                at += 1
                matched += 1
                continue
            }
            guard let escape = escape(bytes, at: at) else { return false }
            for byte in UTF8.encode(escape.scalar)! {
                guard matched < text.count, byte == text[matched] else { return false }
                matched += 1
            }
            at = escape.end
        }
        return matched == text.count
    }

    /// The UTF-8 bytes that the escaped inside of a string stands for, or nil where an escape is malformed.
    static func unescaped(_ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var start = 0
        while let backslash = bytes.first(ASCII.backslash, from: start) {
            result.append(contentsOf: bytes.slice(start..<backslash))
            guard let escape = escape(bytes, at: backslash) else { return nil }
            result.append(contentsOf: UTF8.encode(escape.scalar)!)
            start = escape.end
        }
        result.append(contentsOf: bytes.slice(start..<bytes.count))
        return result
    }

    /// What the escape at `at` stands for, and the offset behind it.
    private static func escape(_ bytes: UnsafeRawBufferPointer, at: Int) -> (scalar: Unicode.Scalar, end: Int)? {
        guard at + 1 < bytes.count else { return nil }
        let byte: UInt8
        switch bytes[at + 1] {
        case ASCII.quote, ASCII.backslash, UInt8(ascii: "/"): byte = bytes[at + 1]
        case UInt8(ascii: "b"): byte = 0x08
        case UInt8(ascii: "f"): byte = 0x0C
        case UInt8(ascii: "n"): byte = ASCII.lineFeed
        case UInt8(ascii: "r"): byte = ASCII.carriageReturn
        case UInt8(ascii: "t"): byte = ASCII.tab
        case UInt8(ascii: "u"): return unicodeEscape(bytes, at: at)
        default: return nil
        }
        return (Unicode.Scalar(byte), at + 2)
    }

    private static func unicodeEscape(
        _ bytes: UnsafeRawBufferPointer, at: Int
    ) -> (scalar: Unicode.Scalar, end: Int)? {
        guard let unit = codeUnit(bytes, at: at) else { return nil }
        var end = at + 6
        var scalar = unit
        if unit >= 0xD800, unit < 0xDC00, let low = codeUnit(bytes, at: end), low >= 0xDC00, low < 0xE000 {
            scalar = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
            end += 6
        }
        return (Unicode.Scalar(scalar) ?? Unicode.Scalar(replacement)!, end)
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
