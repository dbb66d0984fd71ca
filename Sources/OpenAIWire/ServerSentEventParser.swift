public import NIOCore

/// Cuts a stream of bytes into SSE events, wherever the network split it.
///
/// The raw bytes of all events and the unterminated rest are the input, byte for byte, so a relay can forward events
/// instead of chunks. An event that lies within one chunk is a slice of it; one that spans chunks is copied once.
/// Lines end with LF, CRLF or CR. A blank line that is a CR at the very end of a chunk may be half a CRLF: the event
/// is handed out at once only if the stream's lines end with bare CR, so the cuts do not depend on the split.
public struct ServerSentEventParser: Sendable {
    private enum State {
        case lineStart, inLine
        /// Behind the CR of a line that was not blank.
        case behindCarriageReturn
        /// Behind the CR of a blank line.
        case behindBlankCarriageReturn
    }

    private let maxEventBytes: Int
    private var state = State.lineStart
    private var endsLinesWithCarriageReturn = false
    /// The beginning of an event that ends in a later chunk; all of it has been looked at.
    private var begun = ByteBuffer()
    /// What came last. Its first `looked` bytes have been looked at and hold no end of an event.
    private var chunk = ByteBuffer()
    private var looked = 0
    private var isAtStartOfStream = true

    /// - Parameter maxEventBytes: the most bytes that one event may have, and so the most that are kept between chunks.
    public init(maxEventBytes: Int) {
        self.maxEventBytes = maxEventBytes
    }

    /// Takes the next bytes of the stream. Call `next` until it answers nil before the next `append`.
    public mutating func append(_ bytes: ByteBuffer) {
        guard chunk.readableBytes > 0 else {
            chunk = bytes
            return
        }
        // Whatever was not fetched yet, or failed, keeps its order.
        chunk.writeImmutableBuffer(bytes)
    }

    /// The next complete event, or nil when more bytes are needed. Throws when one event exceeds `maxEventBytes`; the
    /// bytes are still there for `finish`.
    public mutating func next() throws(WireError) -> ServerSentEvent? {
        let end = chunk.withUnsafeReadableBytes { endOfEvent($0) }
        let length = begun.readableBytes + (end ?? looked)
        guard length <= maxEventBytes else {
            throw .tooLarge("bytes in one event", limit: maxEventBytes)
        }
        guard let end else {
            keepBeginning()
            return nil
        }
        let raw = takeEvent(upTo: end)
        let offset = isAtStartOfStream && raw.startsWithByteOrderMark ? 3 : 0
        isAtStartOfStream = false
        return ServerSentEvent(raw: raw, from: offset)
    }

    /// The bytes that belong to no complete event, unchanged. The parser is empty afterwards.
    public mutating func finish() -> ByteBuffer {
        var rest = begun
        if rest.readableBytes == 0 { rest = chunk } else { rest.writeImmutableBuffer(chunk) }
        self = ServerSentEventParser(maxEventBytes: maxEventBytes)
        return rest
    }

    /// Bytes that are kept of an event which is not whole yet.
    public var unfinishedBytes: Int { begun.readableBytes + chunk.readableBytes }

    private mutating func keepBeginning() {
        guard chunk.readableBytes > 0 else { return }
        if begun.readableBytes == 0 { begun = chunk } else { begun.writeImmutableBuffer(chunk) }
        chunk = ByteBuffer()
        looked = 0
    }

    private mutating func takeEvent(upTo end: Int) -> ByteBuffer {
        let tail = chunk.readSlice(length: end) ?? ByteBuffer()
        looked = 0
        guard begun.readableBytes > 0 else { return tail }
        begun.writeImmutableBuffer(tail)
        defer { begun = ByteBuffer() }
        return begun
    }
}

// MARK: - Lines

extension ServerSentEventParser {
    /// The offset behind the blank line that ends the event, or nil when there is none yet; moves `looked` and `state`.
    private mutating func endOfEvent(_ bytes: UnsafeRawBufferPointer) -> Int? {
        while looked < bytes.count {
            switch state {
            case .lineStart:
                if let end = passLineStart(bytes) { return end }
            case .inLine:
                passLine(bytes)
            case .behindCarriageReturn:
                endsLinesWithCarriageReturn = bytes[looked] != ASCII.lineFeed
                if !endsLinesWithCarriageReturn { looked += 1 }
                state = .lineStart
            case .behindBlankCarriageReturn:
                if bytes[looked] == ASCII.lineFeed { looked += 1 }
                state = .lineStart
                return looked
            }
        }
        return nil
    }

    private mutating func passLineStart(_ bytes: UnsafeRawBufferPointer) -> Int? {
        switch bytes[looked] {
        case ASCII.lineFeed:
            looked += 1
            return looked
        case ASCII.carriageReturn:
            looked += 1
            if endsLinesWithCarriageReturn { return looked }
            state = .behindBlankCarriageReturn
        default:
            state = .inLine
        }
        return nil
    }

    /// Moves behind the end of a line that is not blank, or to the end of the bytes.
    private mutating func passLine(_ bytes: UnsafeRawBufferPointer) {
        guard let end = bytes.firstLineEnd(from: looked) else {
            looked = bytes.count
            return
        }
        looked = end + 1
        if bytes[end] == ASCII.lineFeed {
            endsLinesWithCarriageReturn = false
            state = .lineStart
        } else {
            state = .behindCarriageReturn
        }
    }
}

extension UnsafeRawBufferPointer {
    /// The offset of the first CR or LF at or after `from`.
    ///
    /// memchr for each of them, in steps that double: a text in which one of the two is rare is not searched to its
    /// end for every line, and a long line costs no more than twice its length.
    func firstLineEnd(from: Int) -> Int? {
        var start = from
        var step = 256
        while start < count {
            let window = slice(0..<Swift.min(start + step, count))
            let feed = window.first(ASCII.lineFeed, from: start)
            let searched = slice(0..<(feed ?? window.count))
            if let end = searched.first(ASCII.carriageReturn, from: start) ?? feed { return end }
            start = window.count
            step *= 2
        }
        return nil
    }
}

extension ByteBuffer {
    /// Whether the bytes begin with the UTF-8 form of U+FEFF, which an SSE stream may begin with.
    fileprivate var startsWithByteOrderMark: Bool {
        readableBytesView.starts(with: [0xEF, 0xBB, 0xBF])
    }
}
