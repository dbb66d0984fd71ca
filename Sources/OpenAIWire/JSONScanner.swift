/// A position in JSON text that moves over values without decoding them.
///
/// Strings are skipped with memchr (to the next quote, then the backslashes before it are counted), so prose and
/// base64 cost a fraction of a byte loop. The grammar is checked where the caller descends; of a value that is
/// skipped only strings and the balance of brackets are looked at. What will be stored is validated with
/// `JSON.validate`. Nothing recurses, and every byte is looked at a bounded number of times.
struct JSONScanner {
    let bytes: UnsafeRawBufferPointer
    var position: Int

    init(_ bytes: UnsafeRawBufferPointer, at position: Int = 0) {
        self.bytes = bytes
        self.position = position
    }

    /// The byte under the position; NUL, which no rule of the grammar accepts, behind the end.
    @inline(__always)
    var current: UInt8 {
        position < bytes.count ? bytes[position] : 0
    }

    @inline(never)
    func malformed(_ expected: StaticString) -> WireError {
        .malformed(expected: "\(expected)", at: position)
    }

    /// Inlined up to the first byte that is no white space: most clients write none.
    @inline(__always)
    mutating func skipWhitespace() {
        if current > ASCII.space { return }
        skipWhitespaceRun()
    }

    private mutating func skipWhitespaceRun() {
        while position < bytes.count {
            switch bytes[position] {
            case ASCII.space, ASCII.lineFeed, ASCII.carriageReturn, ASCII.tab: position += 1
            default: return
            }
        }
    }

    @inline(__always)
    mutating func expect(_ byte: UInt8, _ name: StaticString) throws(WireError) {
        guard current == byte else { throw malformed(name) }
        position += 1
    }

    /// Only white space may follow the last value.
    mutating func expectEnd() throws(WireError) {
        skipWhitespace()
        guard position == bytes.count else { throw malformed("the end of the text") }
    }

    /// Moves behind the value that begins here and says what it is.
    @discardableResult
    mutating func skipValue() throws(WireError) -> JSONValue.Kind {
        switch current {
        case ASCII.quote:
            try skipString()
            return .string
        case ASCII.openBrace:
            try skipContainer()
            return .object
        case ASCII.openBracket:
            try skipContainer()
            return .array
        default:
            return try skipScalar()
        }
    }

    /// Moves behind the string whose opening quote is here; the range is what stands between its quotes.
    @discardableResult
    mutating func skipString() throws(WireError) -> Range<Int> {
        let start = position + 1
        if let quote = shortStringEnd(start) {
            position = quote + 1
            return start..<quote
        }
        var from = start
        while let quote = bytes.first(ASCII.quote, from: from) {
            if !isEscaped(quote, from: from) {
                position = quote + 1
                return start..<quote
            }
            from = quote + 1
        }
        position = bytes.count
        throw malformed("the end of a string")
    }

    /// The closing quote of a string of up to fifteen plain bytes, as keys are: two words instead of a call of memchr.
    /// Nil says nothing. See `skipPlainText` for the arithmetic.
    @inline(__always)
    private func shortStringEnd(_ start: Int) -> Int? {
        guard start + 16 <= bytes.count else { return nil }
        let first = Self.quoteOrBackslash(bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
        let end: Int
        if first != 0 {
            end = start + (first.trailingZeroBitCount >> 3)
        } else {
            let second = Self.quoteOrBackslash(bytes.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self))
            if second == 0 { return nil }
            end = start + 8 + (second.trailingZeroBitCount >> 3)
        }
        return bytes[end] == ASCII.quote ? end : nil
    }

    /// A word whose lowest set bit is the high bit of the first quote or backslash among eight bytes; 0 for none.
    @inline(__always)
    private static func quoteOrBackslash(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quotes = UInt64(littleEndian: word) ^ (ones &* UInt64(ASCII.quote))
        let slashes = UInt64(littleEndian: word) ^ (ones &* UInt64(ASCII.backslash))
        return ((quotes &- ones) & ~quotes | (slashes &- ones) & ~slashes) & (ones << 7)
    }

    /// A quote is escaped behind an odd number of backslashes. They are counted back to `from`, the byte behind the
    /// previous quote, so no backslash is counted twice.
    private func isEscaped(_ quote: Int, from: Int) -> Bool {
        var run = quote
        while run > from, bytes[run - 1] == ASCII.backslash { run -= 1 }
        return (quote - run) % 2 == 1
    }

    private mutating func skipContainer() throws(WireError) {
        var depth = 0
        while position < bytes.count {
            switch bytes[position] {
            case ASCII.quote:
                try skipString()
                continue
            case ASCII.openBrace, ASCII.openBracket:
                depth += 1
                guard depth <= JSON.maximumDepth else { throw .tooDeep(limit: JSON.maximumDepth) }
            case ASCII.closeBrace, ASCII.closeBracket:
                depth -= 1
                if depth == 0 {
                    position += 1
                    return
                }
            default:
                break
            }
            position += 1
        }
        throw malformed("the end of an object or array")
    }
}

// MARK: - Scalars

extension JSONScanner {
    /// Moves behind a number or literal, checked completely.
    mutating func skipScalar() throws(WireError) -> JSONValue.Kind {
        switch current {
        case UInt8(ascii: "t"):
            try skipLiteral("true")
            return .true
        case UInt8(ascii: "f"):
            try skipLiteral("false")
            return .false
        case UInt8(ascii: "n"):
            try skipLiteral("null")
            return .null
        case ASCII.minus, ASCII.zero...ASCII.nine:
            try skipNumber()
            return .number
        default:
            throw malformed("a value")
        }
    }

    private mutating func skipLiteral(_ literal: StaticString) throws(WireError) {
        let end = position + literal.utf8CodeUnitCount
        guard end <= bytes.count, bytes.equals(literal, in: position..<end) else { throw malformed("a value") }
        position = end
    }

    private mutating func skipNumber() throws(WireError) {
        if current == ASCII.minus { position += 1 }
        if current == ASCII.zero {
            position += 1
        } else {
            try skipDigits()
        }
        if current == UInt8(ascii: ".") {
            position += 1
            try skipDigits()
        }
        if current | 0x20 == UInt8(ascii: "e") {
            position += 1
            if current == UInt8(ascii: "+") || current == ASCII.minus { position += 1 }
            try skipDigits()
        }
    }

    private mutating func skipDigits() throws(WireError) {
        guard ASCII.isDigit(current) else { throw malformed("a digit") }
        while ASCII.isDigit(current) { position += 1 }
    }
}
