public import NIOCore

/// One event of an SSE stream: its bytes as they came, and where its data lies in them.
public struct ServerSentEvent: Sendable, Hashable {
    /// The event as it came, up to and with the blank line that ends it.
    public let raw: ByteBuffer
    /// The last `event:` field, nil where there is none.
    public let name: String?
    /// The data lines, joined by line feeds; a slice of `raw` where there is one line. Nil for a block without data:
    /// comments, which keep connections alive, or blank lines.
    public let data: ByteBuffer?
    /// Where a single line of data lies in `raw`; nil for several.
    private let dataRange: Range<Int>?

    /// Whether this is `data: [DONE]`, which ends a stream of chat completion chunks.
    public var isDone: Bool {
        guard let data, data.readableBytes >= 6, data.readableBytes < 16 else { return false }
        return data.withUnsafeReadableBytes { bytes in
            bytes.equals("[DONE]", in: 0..<6) && bytes[6...].allSatisfy { $0 == ASCII.space || $0 == ASCII.tab }
        }
    }

    /// An event of our own, serialised with line feeds.
    ///
    /// - Parameter name: must not hold a line break.
    public init(data: ByteBuffer, name: String? = nil) {
        precondition(name?.utf8.contains { $0 == 10 || $0 == 13 } != true, "An event's name is one line.")
        var raw = ByteBuffer()
        raw.reserveCapacity(data.readableBytes + (name?.utf8.count ?? 0) + 24)
        if let name { raw.writeString("event: \(name)\n") }
        data.withUnsafeReadableBytes { bytes in
            var lines = SSELines(bytes, from: 0)
            while let line = lines.next() { raw.writeDataLine(bytes.slice(line)) }
            // A line break at the end is followed by an empty line, which is part of the data.
            if lines.endsWithEmptyLine { raw.writeDataLine(bytes.slice(0..<0)) }
        }
        raw.writeInteger(ASCII.lineFeed)
        self.init(raw: raw)
    }

    /// Reads the fields of a complete event. `offset` is where its first line begins (behind a byte order mark).
    init(raw: ByteBuffer, from offset: Int = 0) {
        var fields = SSEFields()
        raw.withUnsafeReadableBytes { fields.read($0, from: offset) }
        self.raw = raw
        name = fields.name
        dataRange = fields.joined == nil ? fields.data : nil
        data = fields.joined ?? fields.data.map(raw.span)
    }

    /// The event with other data and everything else as it came; several lines of data become what `data` is.
    public func replacingData(_ data: ByteBuffer) -> ServerSentEvent {
        let hasLineBreak = data.readableBytesView.contains { $0 == ASCII.lineFeed || $0 == ASCII.carriageReturn }
        guard let dataRange, !dataRange.isEmpty, !hasLineBreak else { return ServerSentEvent(data: data, name: name) }
        var bytes = ByteBuffer()
        bytes.reserveCapacity(raw.readableBytes + data.readableBytes)
        bytes.writeImmutableBuffer(raw.span(0..<dataRange.lowerBound))
        bytes.writeImmutableBuffer(data)
        bytes.writeImmutableBuffer(raw.span(dataRange.upperBound..<raw.readableBytes))
        return ServerSentEvent(raw: bytes)
    }
}

extension ByteBuffer {
    fileprivate mutating func writeDataLine(_ line: UnsafeRawBufferPointer) {
        writeStaticString("data: ")
        writeBytes(line)
        writeInteger(ASCII.lineFeed)
    }
}

/// The fields of one event that matter here: `event` and `data`. Comments, `id`, `retry` and unknown fields are passed.
private struct SSEFields {
    var name: String?
    var data: Range<Int>?
    var joined: ByteBuffer?

    mutating func read(_ bytes: UnsafeRawBufferPointer, from offset: Int) {
        var lines = SSELines(bytes, from: offset)
        while let line = lines.next() {
            guard !line.isEmpty else { continue }
            if let value = Self.value(of: "data", in: line, bytes) {
                add(value, bytes)
            } else if let value = Self.value(of: "event", in: line, bytes) {
                name = String(decoding: bytes[value], as: UTF8.self)
            }
        }
    }

    private mutating func add(_ value: Range<Int>, _ bytes: UnsafeRawBufferPointer) {
        guard let first = data else {
            data = value
            return
        }
        var text = joined ?? ByteBuffer(bytes: bytes[first])
        joined = nil
        text.writeInteger(ASCII.lineFeed)
        text.writeBytes(bytes.slice(value))
        joined = text
    }

    /// What stands behind `field`, its colon and one space, if `line` is of that field.
    private static func value(
        of field: StaticString, in line: Range<Int>, _ bytes: UnsafeRawBufferPointer
    ) -> Range<Int>? {
        let end = line.lowerBound + field.utf8CodeUnitCount
        guard end <= line.upperBound, bytes.equals(field, in: line.lowerBound..<end) else { return nil }
        guard end < line.upperBound else { return end..<end }
        guard bytes[end] == ASCII.colon else { return nil }
        let hasSpace = end + 1 < line.upperBound && bytes[end + 1] == ASCII.space
        return (end + (hasSpace ? 2 : 1))..<line.upperBound
    }
}

/// The lines of a text by any of the three line ends, without them.
private struct SSELines {
    private let bytes: UnsafeRawBufferPointer
    private var position: Int
    init(_ bytes: UnsafeRawBufferPointer, from position: Int) {
        self.bytes = bytes
        self.position = position
    }

    /// Whether nothing stands behind the last line end; true of an empty text too.
    var endsWithEmptyLine: Bool { position == bytes.count }

    mutating func next() -> Range<Int>? {
        guard position < bytes.count else { return nil }
        let line = position..<(bytes.firstLineEnd(from: position) ?? bytes.count)
        let end = line.upperBound
        let isPair = end + 1 < bytes.count && bytes[end] == ASCII.carriageReturn && bytes[end + 1] == ASCII.lineFeed
        position = end + (isPair ? 2 : 1)
        return line
    }
}
