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
        buffer.writeInteger(ASCII.openBracket)
        for (index, element) in elements.enumerated() {
            if index > 0 { buffer.writeInteger(ASCII.comma) }
            buffer.writeImmutableBuffer(element)
        }
        buffer.writeInteger(ASCII.closeBracket)
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
