/// What tells an element of a list apart from the others.
struct ElementIdentity {
    var index: Int?
    var id: [UInt8]?
    var isToolCall = false
    /// Whether it is a tool call with the name of what is called.
    var isNamed = false

    /// Reads the element under the scanner's position and moves behind it.
    init(_ scanner: inout JSONScanner) throws(WireError) {
        guard scanner.current == ASCII.openBrace else {
            try scanner.skipValue()
            return
        }
        var isFirst = true
        try scanner.enterObject()
        while let key = try scanner.nextKey(&isFirst) {
            let start = scanner.position
            let kind = try scanner.skipValue()
            let value = start..<scanner.position
            if kind == .number, scanner.key(key, is: "index") {
                index = scanner.bytes.smallInteger(value)
            } else if kind == .string, scanner.key(key, is: "id"), value.count > 2 {
                id = Array(scanner.bytes[start + 1..<scanner.position - 1])
            } else if kind == .object, scanner.key(key, is: "function") || scanner.key(key, is: "custom") {
                isToolCall = true
                var function = JSONScanner(scanner.bytes, at: start)
                isNamed = try Self.hasName(&function)
            }
        }
    }

    private static func hasName(_ scanner: inout JSONScanner) throws(WireError) -> Bool {
        var isFirst = true
        var hasName = false
        try scanner.enterObject()
        while let key = try scanner.nextKey(&isFirst) {
            let start = scanner.position
            let kind = try scanner.skipValue()
            if kind == .string, scanner.key(key, is: "name") { hasName = scanner.position - start > 2 }
        }
        return hasName
    }
}

extension UnsafeRawBufferPointer {
    /// The digits in `range` as a number; nil for anything but one to six digits.
    func smallInteger(_ range: Range<Int>) -> Int? {
        guard range.count <= 6 else { return nil }
        var result = 0
        for byte in self[range] {
            guard ASCII.isDigit(byte) else { return nil }
            result = result * 10 + Int(byte - ASCII.zero)
        }
        return result
    }
}
