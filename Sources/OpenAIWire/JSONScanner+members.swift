/// Descending into objects and arrays, one member or element at a time, without collecting them.
extension JSONScanner {
    /// The opening brace of an object, with the white space before it.
    mutating func enterObject() throws(WireError) {
        skipWhitespace()
        try expect(ASCII.openBrace, "an object")
    }

    /// The opening bracket of an array, with the white space before it.
    mutating func enterArray() throws(WireError) {
        skipWhitespace()
        try expect(ASCII.openBracket, "an array")
    }

    /// Moves to the next member's value and returns what stands between the quotes of its key, still escaped; nil
    /// behind the closing brace. The caller moves over the value. `isFirst` is true before the first call.
    mutating func nextKey(_ isFirst: inout Bool) throws(WireError) -> Range<Int>? {
        skipWhitespace()
        if current == ASCII.closeBrace {
            position += 1
            return nil
        }
        if !isFirst {
            try expect(ASCII.comma, "',' or '}'")
            skipWhitespace()
        }
        isFirst = false
        guard current == ASCII.quote else { throw malformed("a key") }
        let key = try skipString()
        skipWhitespace()
        try expect(ASCII.colon, "':'")
        skipWhitespace()
        return key
    }

    /// Calls `body` with each member of the object that is the whole of `text`, in order.
    static func forEachMember(
        of text: UnsafeRawBufferPointer,
        _ body: (JSONScanner, _ key: Range<Int>, _ value: Range<Int>, JSONValue.Kind) -> Void
    ) throws(WireError) {
        var scanner = JSONScanner(text)
        var isFirst = true
        try scanner.enterObject()
        while let key = try scanner.nextKey(&isFirst) {
            let start = scanner.position
            let kind = try scanner.skipValue()
            body(scanner, key, start..<scanner.position, kind)
        }
        try scanner.expectEnd()
    }

    /// Moves to the next element; false behind the closing bracket. The caller moves over the element.
    mutating func nextElement(_ isFirst: inout Bool) throws(WireError) -> Bool {
        skipWhitespace()
        if current == ASCII.closeBracket {
            position += 1
            return false
        }
        if !isFirst {
            try expect(ASCII.comma, "',' or ']'")
            skipWhitespace()
            if current == ASCII.closeBracket { throw malformed("a value") }
        }
        isFirst = false
        return true
    }

    /// Whether a key is `name`, also where it is written with escapes (`"mod\u0065l"`).
    func key(_ key: Range<Int>, is name: StaticString) -> Bool {
        if bytes.equals(name, in: key) { return true }
        guard key.count > name.utf8CodeUnitCount else { return false }
        let text = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return JSONText.unescaped(bytes.slice(key), equals: text)
    }
}
