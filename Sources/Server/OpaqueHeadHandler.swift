import NIOCore
import TurnpikeKit

/// Stands before the parser, which makes strings of header values and replaces what is not UTF-8: puts ``OpaqueText`` in
/// the place of such values, so that the upstream gets the bytes that the client sent.
///
/// A head that comes in one read with the end of the message before it (pipelining) is left to the parser.
final class OpaqueHeadHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Reads behind the parser, and so knows whether a head comes next.
    private unowned let connection: ConnectionHandler
    private let limit: Int
    private var filter: HeadFilter
    /// Which of the connection's heads the filter is for.
    private var number = 0

    /// - Parameter limit: Bytes that are kept back at most.
    init(before connection: ConnectionHandler, limit: Int) {
        self.connection = connection
        self.limit = limit
        filter = HeadFilter(limit: limit)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard connection.isHeadExpected else { return context.fireChannelRead(data) }
        if number != connection.headCount {
            number = connection.headCount
            filter = HeadFilter(limit: limit)
        }
        let output = filter.pass(unwrapInboundIn(data))
        if output.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(output)) }
    }
}

@available(*, unavailable)
extension OpaqueHeadHandler: Sendable {}

/// One head on its way to the parser, in whatever pieces it comes. What is ASCII, which is nearly everything, passes as it
/// lies; the rest of a field that is not is kept back until its line has come.
struct HeadFilter {
    /// What a line is to a head.
    private enum Part { case blank, request, field, end }

    /// What has passed of a line that has no end yet.
    private enum Line { case nothing, carriageReturn, text }

    /// A longer line is beyond the parser's limit as well.
    let limit: Int
    /// Whether the empty line has passed: what follows is a body.
    private(set) var isOver = false
    /// Whether the request line has begun; empty lines before it mean nothing (RFC 9112, section 2.2).
    private var hasBegun = false
    /// Whether the request line is over. It stays as it is: its target is no header, and the parser judges it.
    private var isInFields = false
    private var line = Line.nothing
    private var held = ByteBuffer()

    init(limit: Int) { self.limit = limit }

    /// What may pass now.
    mutating func pass(_ bytes: ByteBuffer) -> ByteBuffer {
        if isOver { return bytes }
        var input = bytes
        if held.readableBytes > 0 {
            // What is held has no end: nothing of it is looked at again before that comes.
            let goesOn = !input.readableBytesView.contains(UInt8(ascii: "\n"))
            held.writeBuffer(&input)
            if goesOn, held.readableBytes <= limit { return ByteBuffer() }
            input = held
            held = ByteBuffer()
        } else if input.withUnsafeReadableBytes({ OpaqueText.isASCII($0) }) {
            note(input)
            return input
        }
        return rewritten(&input)
    }

    private mutating func rewritten(_ input: inout ByteBuffer) -> ByteBuffer {
        var output = ByteBuffer()
        while let line = input.readLine() {
            let part = part(line)
            note(line)
            line.withUnsafeReadableBytes { bytes in
                _ = part == .field ? output.writeString(OpaqueText.string(bytes)) : output.writeBytes(bytes)
            }
            isOver = part == .end
            if isOver { break }
        }
        let mayPass = isOver || !isInFields || input.withUnsafeReadableBytes({ OpaqueText.isASCII($0) })
        if mayPass || input.readableBytes > limit {
            note(input)
            output.writeBuffer(&input)
        } else {
            held = input
        }
        return output
    }

    /// What the line is that ends with `bytes`, of which the beginning may have passed before.
    private func part(_ bytes: ByteBuffer) -> Part {
        if isEmpty(bytes.readableBytesView) { return hasBegun ? .end : .blank }
        return isInFields ? .field : .request
    }

    private func isEmpty(_ rest: ByteBufferView) -> Bool {
        switch line {
        case .nothing: rest.elementsEqual("\r\n".utf8) || rest.elementsEqual("\n".utf8)
        case .carriageReturn: rest.elementsEqual("\n".utf8)
        case .text: false
        }
    }

    /// Takes note of bytes that pass: whole lines, or a part of one.
    private mutating func note(_ bytes: ByteBuffer) { bytes.withUnsafeReadableBytes { note($0) } }

    private mutating func note(_ bytes: UnsafeRawBufferPointer) {
        guard let last = bytes.last else { return }
        if !isInFields { findRequestLine(bytes) }
        let before = bytes.dropLast().last
        switch last {
        case UInt8(ascii: "\n"): line = .nothing
        case UInt8(ascii: "\r") where before == UInt8(ascii: "\n") || (before == nil && line == .nothing):
            line = .carriageReturn
        default: line = .text
        }
    }

    private mutating func findRequestLine(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        if !hasBegun {
            rest = rest.drop { $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n") }
            hasBegun = !rest.isEmpty
        }
        isInFields = hasBegun && rest.contains(UInt8(ascii: "\n"))
    }
}

extension ByteBuffer {
    /// The next line with its end, if it is there.
    fileprivate mutating func readLine() -> ByteBuffer? {
        guard let end = readableBytesView.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        return readSlice(length: end - readerIndex + 1)
    }
}
