import Glibc
import NIOCore
import TurnpikeKit

/// Reads one answer from a connection's bytes, however they are cut: its head, its body without the framing, its end.
///
/// Stricter than libcurl, because what two readers could understand differently is how a part of one answer becomes
/// another one's head: line ends of chunks are CR LF, sizes are hexadecimal digits alone, the only transfer coding is
/// `chunked`. Bodies are slices of the bytes that came in. Pure: no channel, no clock.
struct ResponseDecoder {
    /// A chunk's size and its extensions, in bytes.
    static let maxChunkLine = 4 << 10

    enum Step {
        /// All input is used up.
        case needsMore
        case head(ResponseHead)
        case bytes(ByteBuffer)
        /// The answer is complete; what is left of the input does not belong to it.
        case end
        case refuse(GatewayError)
    }

    /// What the connection's end means.
    enum Ending: Equatable {
        /// It was the body's end.
        case complete
        /// Why the answer is not whole.
        case broken(String)
    }

    private enum State {
        /// Next: length, chunkSize, untilClose, ending.
        case head
        case length(Int)
        case untilClose
        /// Next: chunk, trailers.
        case chunkSize
        /// So many bytes of data, then their line end. Next: chunkSize.
        case chunk(Int)
        case chunkEnd
        /// Next: over.
        case trailers
        /// The answer ends with its head. Next: over.
        case ending
        case over
    }

    private enum Line {
        case incomplete
        case tooLong
        case whole(ByteBuffer)
    }

    private var state = State.head
    private var parser = ResponseHeadParser()
    /// The beginning of a line whose end has not come.
    private var partial = ByteBuffer()
    private var trailerBytes = 0
    private var framing = ResponseFraming()
    private let isHEAD: Bool

    init(isHEAD: Bool) { self.isHEAD = isHEAD }

    /// Whether the connection may carry another request after the answer's end.
    var isPersistent: Bool {
        guard case .over = state else { return false }
        return framing.isPersistent
    }

    /// Takes the next thing out of `input`. Call until it needs more, is at the end, or refuses.
    mutating func next(_ input: inout ByteBuffer) -> Step {
        while true {
            switch state {
            case .head: if let step = head(&input) { return step }
            case .length(let rest):
                guard let bytes = take(rest, of: &input) else { return .needsMore }
                state = rest > bytes.readableBytes ? .length(rest - bytes.readableBytes) : .ending
                return .bytes(bytes)
            case .untilClose:
                guard let bytes = take(.max, of: &input) else { return .needsMore }
                return .bytes(bytes)
            case .chunkSize: if let step = chunkSize(&input) { return step }
            case .chunk(let rest):
                guard let bytes = take(rest, of: &input) else { return .needsMore }
                state = rest > bytes.readableBytes ? .chunk(rest - bytes.readableBytes) : .chunkEnd
                return .bytes(bytes)
            case .chunkEnd: if let step = chunkEnd(&input) { return step }
            case .trailers: if let step = trailer(&input) { return step }
            case .ending:
                state = .over
                return .end
            case .over: return .end
            }
        }
    }

    /// The connection is over.
    func connectionEnded() -> Ending {
        switch state {
        case .untilClose, .ending, .over: .complete
        case .head: .broken("the answer's head is incomplete")
        case .length, .chunkSize, .chunk, .chunkEnd, .trailers: .broken("the answer's body is incomplete")
        }
    }

    private func take(_ count: Int, of input: inout ByteBuffer) -> ByteBuffer? {
        guard input.readableBytes > 0 else { return nil }
        return input.readSlice(length: min(count, input.readableBytes))
    }

    // MARK: The head

    private mutating func head(_ input: inout ByteBuffer) -> Step? {
        if partial.readableBytes == 0 {
            switch wholeLines(&input) {
            case .more: break
            case .refuse(let error): return .refuse(error)
            case .head(let head): return begin(head)
            }
        }
        switch line(&input, upTo: ResponseHeadParser.maxBytes) {
        case .incomplete: return .needsMore
        case .tooLong:
            return .refuse(.upstreamProtocol("its head is longer than \(ResponseHeadParser.maxBytes) bytes"))
        case .whole(let line):
            switch line.withUnsafeReadableBytes({ parser.line($0) }) {
            case .more: return nil
            case .refuse(let error): return .refuse(error)
            case .head(let head): return begin(head)
            }
        }
    }

    /// Reads the lines that are there from their first to their last byte, where they lie.
    private mutating func wholeLines(_ input: inout ByteBuffer) -> ResponseHeadParser.Step {
        var step = ResponseHeadParser.Step.more
        let used = input.withUnsafeReadableBytes { bytes in
            var at = 0
            while case .more = step, at < bytes.count,
                let feed = memchr(bytes.baseAddress! + at, 10, bytes.count - at)
            {
                let end = UnsafeRawPointer(feed) - bytes.baseAddress! + 1
                step = parser.line(UnsafeRawBufferPointer(rebasing: bytes[at..<end]))
                at = end
            }
            return at
        }
        input.moveReaderIndex(forwardBy: used)
        return step
    }

    private mutating func begin(_ head: ResponseHead) -> Step {
        framing = head.framing
        guard let minorVersion = framing.minorVersion else {
            return .refuse(.upstreamProtocol("its status line cannot be read"))
        }
        guard framing.coding == .none || minorVersion == 1, framing.coding != .other else {
            return .refuse(.upstreamProtocol("its Transfer-Encoding is not chunked"))
        }
        if isHEAD || head.status == 204 || head.status == 304 {
            state = .ending
        } else if framing.coding == .chunked {
            state = .chunkSize
        } else if let length = framing.length {
            state = length == 0 ? .ending : .length(length)
        } else {
            state = .untilClose
            framing.closes = true
        }
        return .head(head)
    }

    // MARK: Chunks (RFC 9112, section 7.1)

    private mutating func chunkSize(_ input: inout ByteBuffer) -> Step? {
        switch line(&input, upTo: ResponseDecoder.maxChunkLine) {
        case .incomplete: return .needsMore
        case .tooLong: return refuseChunk()
        case .whole(let line):
            guard let size = line.withUnsafeReadableBytes({ ResponseDecoder.size($0) }) else { return refuseChunk() }
            state = size == 0 ? .trailers : .chunk(size)
            return nil
        }
    }

    private mutating func chunkEnd(_ input: inout ByteBuffer) -> Step? {
        switch line(&input, upTo: 2) {
        case .incomplete: return .needsMore
        case .tooLong: return refuseChunk()
        case .whole(let line):
            guard line.withUnsafeReadableBytes({ $0.elementsEqual("\r\n".utf8) }) else { return refuseChunk() }
            state = .chunkSize
            return nil
        }
    }

    /// Trailers are read and dropped.
    private mutating func trailer(_ input: inout ByteBuffer) -> Step? {
        switch line(&input, upTo: ResponseHeadParser.maxBytes - trailerBytes) {
        case .incomplete: return .needsMore
        case .tooLong: return .refuse(.upstreamProtocol("its trailers are too long"))
        case .whole(let line):
            trailerBytes += line.readableBytes
            if line.withUnsafeReadableBytes({ $0.elementsEqual("\r\n".utf8) }) { state = .ending }
            return nil
        }
    }

    private func refuseChunk() -> Step { .refuse(.upstreamProtocol("its chunks cannot be read")) }

    /// `1A`, then spaces, then the line's end or an extension. At most 15 digits, which fit an `Int`.
    private static func size(_ line: UnsafeRawBufferPointer) -> Int? {
        guard line.count >= 3, line[line.count - 2] == 13 else { return nil }
        var size = 0
        var index = 0
        while let digit = hexadecimal(line[index]) {
            guard index < 15 else { return nil }
            size = size << 4 | digit
            index += 1
        }
        guard index > 0 else { return nil }
        while line[index] == 32 || line[index] == 9 { index += 1 }
        guard line[index] == UInt8(ascii: ";") || index == line.count - 2 else { return nil }
        return line[index..<line.count - 2].contains(13) ? nil : size
    }

    private static func hexadecimal(_ byte: UInt8) -> Int? {
        switch byte {
        case 48...57: Int(byte - 48)
        case 65...70: Int(byte - 55)
        case 97...102: Int(byte - 87)
        default: nil
        }
    }

    // MARK: Lines

    /// Takes a line with its line feed out of `input`; without one, all of `input`, to be continued.
    private mutating func line(_ input: inout ByteBuffer, upTo limit: Int) -> Line {
        let length = input.withUnsafeReadableBytes { bytes -> Int? in
            guard let start = bytes.baseAddress, let found = memchr(start, 10, bytes.count) else { return nil }
            return UnsafeRawPointer(found) - start + 1
        }
        let count = length ?? input.readableBytes
        guard partial.readableBytes + count <= limit, let piece = input.readSlice(length: count) else {
            return .tooLong
        }
        guard length != nil else {
            partial.writeImmutableBuffer(piece)
            return .incomplete
        }
        guard partial.readableBytes > 0 else { return .whole(piece) }
        partial.writeImmutableBuffer(piece)
        defer { partial = ByteBuffer() }
        return .whole(partial)
    }
}
