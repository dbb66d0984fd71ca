/// The complete grammar of RFC 8259 over bytes: a loop with one bit per open container, no recursion, no allocation.
struct JSONValidator {
    private var scanner: JSONScanner
    private var depth = 0
    /// One bit for each open container, set where it is an object.
    private var containers = InlineArray<8, UInt64>(repeating: 0)

    init(_ bytes: UnsafeRawBufferPointer) {
        scanner = JSONScanner(bytes)
    }

    mutating func validate() throws(WireError) {
        scanner.skipWhitespace()
        while true {
            if try openedNonEmptyContainer() { continue }
            if try !movedToNextValue() { break }
        }
        try scanner.expectEnd()
    }

    /// Passes the scalar or bracket under the position; true if it opened a container and the position is at the
    /// first value inside.
    private mutating func openedNonEmptyContainer() throws(WireError) -> Bool {
        switch scanner.current {
        case ASCII.quote:
            try scanner.validateString()
            return false
        case ASCII.openBrace:
            try push(isObject: true)
            if scanner.current == ASCII.closeBrace { return false }
            try passKey()
            return true
        case ASCII.openBracket:
            try push(isObject: false)
            return scanner.current != ASCII.closeBracket
        default:
            _ = try scanner.skipScalar()
            return false
        }
    }

    /// Closes what ends here; true if another value follows, false behind the outermost. It begins behind a value, or
    /// at the closing bracket of an empty container, so a comma always has a value before it.
    private mutating func movedToNextValue() throws(WireError) -> Bool {
        while depth > 0 {
            scanner.skipWhitespace()
            let isObject = innermostIsObject
            switch scanner.current {
            case isObject ? ASCII.closeBrace : ASCII.closeBracket:
                scanner.position += 1
                depth -= 1
            case ASCII.comma:
                scanner.position += 1
                scanner.skipWhitespace()
                if isObject { try passKey() }
                return true
            default:
                throw scanner.malformed(isObject ? "',' or '}'" : "',' or ']'")
            }
        }
        return false
    }

    private var innermostIsObject: Bool {
        containers[(depth - 1) >> 6] & (1 << UInt64((depth - 1) & 63)) != 0
    }

    private mutating func push(isObject: Bool) throws(WireError) {
        guard depth < JSON.maximumDepth else { throw .tooDeep(limit: JSON.maximumDepth) }
        let bit: UInt64 = 1 << UInt64(depth & 63)
        if isObject {
            containers[depth >> 6] |= bit
        } else {
            containers[depth >> 6] &= ~bit
        }
        depth += 1
        scanner.position += 1
        scanner.skipWhitespace()
    }

    private mutating func passKey() throws(WireError) {
        guard scanner.current == ASCII.quote else { throw scanner.malformed("a key") }
        try scanner.validateString()
        scanner.skipWhitespace()
        try scanner.expect(ASCII.colon, "':'")
        scanner.skipWhitespace()
    }
}

// MARK: - Strings

extension JSONScanner {
    /// Moves behind the string whose opening quote is here, checking escapes, control characters and UTF-8.
    mutating func validateString() throws(WireError) {
        position += 1
        while true {
            skipPlainText()
            switch current {
            case ASCII.quote:
                position += 1
                return
            case ASCII.backslash:
                try validateEscape()
            case 0x80...:
                try validateMultiByte()
            default:
                throw malformed(position < bytes.count ? "no control character" : "the end of a string")
            }
        }
    }

    /// Moves to the next quote, backslash, control character, byte above ASCII, or the end; eight bytes at a time.
    ///
    /// `(x - n) & ~x & 0x80…` marks bytes below n; a borrow may mark bytes above a marked one wrongly, but the lowest
    /// mark is exact, and that is the one used.
    private mutating func skipPlainText() {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs = ones << 7
        while position + 8 <= bytes.count {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            let quotes = word ^ (ones &* UInt64(ASCII.quote))
            let slashes = word ^ (ones &* UInt64(ASCII.backslash))
            let controls = (word &- ones &* 0x20) & ~word
            let marks = (word | controls | (quotes &- ones) & ~quotes | (slashes &- ones) & ~slashes) & highs
            if marks != 0 {
                position += marks.trailingZeroBitCount >> 3
                return
            }
            position += 8
        }
        while position < bytes.count {
            let byte = bytes[position]
            if byte < 0x20 || byte >= 0x80 || byte == ASCII.quote || byte == ASCII.backslash { return }
            position += 1
        }
    }

    private mutating func validateEscape() throws(WireError) {
        position += 1
        switch current {
        case ASCII.quote, ASCII.backslash, UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
            UInt8(ascii: "r"), UInt8(ascii: "t"):
            position += 1
        case UInt8(ascii: "u"):
            position += 1
            for _ in 0..<4 {
                guard ASCII.hexValue(current) != nil else { throw malformed("four hexadecimal digits") }
                position += 1
            }
        default:
            throw malformed("an escape")
        }
    }

    /// One character of two to four bytes, well formed by table 3-7 of the Unicode standard.
    private mutating func validateMultiByte() throws(WireError) {
        let second: ClosedRange<UInt8>
        let length: Int
        switch current {
        case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: throw malformed("UTF-8")
        }
        guard position + length <= bytes.count, second.contains(bytes[position + 1]) else { throw malformed("UTF-8") }
        for offset in 2..<max(length, 2) where bytes[position + offset] & 0xC0 != 0x80 { throw malformed("UTF-8") }
        position += length
    }
}
