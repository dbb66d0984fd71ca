import NIOCore
import TurnpikeKit

/// Stands before the parser, which makes strings of header values and replaces what is not UTF-8: puts ``OpaqueText`` in
/// the place of such values, so that the upstream gets the bytes that the client sent.
///
/// It reads only what begins a head. A head that comes in one read with the end of the body before it (pipelining) is
/// left to the parser. What is ASCII, which is nearly everything, passes as it lies.
final class OpaqueHeadHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Reads behind the parser, and so knows whether a head comes next.
    private unowned let connection: ConnectionHandler
    /// Bytes that are kept back at most; a longer line is beyond the parser's limit as well.
    private let limit: Int
    /// The beginning of a line with a byte above 127, whose end has not come yet.
    private var held = ByteBuffer()

    init(before connection: ConnectionHandler, limit: Int) {
        self.connection = connection
        self.limit = limit
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard connection.isHeadExpected else { return context.fireChannelRead(data) }
        var input = unwrapInboundIn(data)
        if held.readableBytes > 0 {
            held.writeBuffer(&input)
            input = held
            held = ByteBuffer()
        } else if input.isASCII {
            return context.fireChannelRead(data)
        }
        let output = rewritten(&input)
        if output.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(output)) }
    }

    /// Line by line to the empty one that ends a head; what follows that is a body, and stays.
    private func rewritten(_ input: inout ByteBuffer) -> ByteBuffer {
        var output = ByteBuffer()
        while let line = input.readLine() {
            output.writeHeadLine(line)
            if line.endsHead {
                output.writeBuffer(&input)
                return output
            }
        }
        if input.isASCII || input.readableBytes > limit {
            output.writeBuffer(&input)
        } else {
            held = input
        }
        return output
    }
}

@available(*, unavailable)
extension OpaqueHeadHandler: Sendable {}

extension ByteBuffer {
    fileprivate var isASCII: Bool { withUnsafeReadableBytes { OpaqueText.isASCII($0) } }

    /// The next line with its end, if it is there.
    fileprivate mutating func readLine() -> ByteBuffer? {
        guard let end = readableBytesView.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        return readSlice(length: end - readerIndex + 1)
    }

    fileprivate var endsHead: Bool { readableBytesView.elementsEqual("\r\n".utf8) || readableBytes == 1 }

    /// The line, or what stands for it. A request line stays: its target is no header, and the parser judges it.
    fileprivate mutating func writeHeadLine(_ line: ByteBuffer) {
        line.withUnsafeReadableBytes { bytes in
            let isRequestLine = bytes.suffix(11).starts(with: " HTTP/1.".utf8)
            _ = isRequestLine ? writeBytes(bytes) : writeString(OpaqueText.string(bytes))
        }
    }
}
