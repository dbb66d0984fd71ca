public import NIOCore

/// Arrays as spans of their elements.
public enum JSONArray {
    /// The elements of the array that is the whole of `bytes`, in order, sharing its memory.
    public static func elements(of bytes: ByteBuffer) throws(WireError) -> [JSONValue] {
        let spans = try bytes.withUnsafeReadableBytes { (text) throws(WireError) in try elementSpans(text) }
        return spans.map { JSONValue(kind: $0.kind, bytes: bytes.span($0.range)) }
    }

    /// The text of an array of `elements`, which are JSON texts.
    public static func joining(_ elements: [ByteBuffer]) -> ByteBuffer {
        var result = ByteBuffer()
        result.reserveCapacity(elements.reduce(2) { $0 + $1.readableBytes + 1 })
        append(elements, to: &result)
        return result
    }

    static func append(_ elements: [ByteBuffer], to buffer: inout ByteBuffer) {
        let count = elements.reduce(2) { $0 + $1.readableBytes } + max(0, elements.count - 1)
        // At once, and not with a look at the buffer's room for each: a history has many elements.
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
            target[0] = ASCII.openBracket
            var end = 1
            for index in elements.indices {
                if index > 0 {
                    target[end] = ASCII.comma
                    end += 1
                }
                elements[index].withUnsafeReadableBytes { text in
                    UnsafeMutableRawBufferPointer(rebasing: target[end...]).copyMemory(from: text)
                    end += text.count
                }
            }
            target[end] = ASCII.closeBracket
            return end + 1
        }
    }

    private static func elementSpans(
        _ text: UnsafeRawBufferPointer
    ) throws(WireError) -> [(kind: JSONValue.Kind, range: Range<Int>)] {
        var scanner = JSONScanner(text)
        var spans: [(kind: JSONValue.Kind, range: Range<Int>)] = []
        var isFirst = true
        try scanner.enterArray()
        while try scanner.nextElement(&isFirst) {
            guard spans.count < JSON.maximumElements else {
                throw .tooLarge("elements in an array", limit: JSON.maximumElements)
            }
            let start = scanner.position
            let kind = try scanner.skipValue()
            spans.append((kind, start..<scanner.position))
        }
        try scanner.expectEnd()
        return spans
    }
}
