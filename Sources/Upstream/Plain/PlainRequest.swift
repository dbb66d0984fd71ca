import NIOCore
import NIOHTTP1
import TurnpikeKit

/// A request that was checked and is ready for the wire.
struct PlainRequest: Sendable {
    /// Bodies up to this size are copied behind the head, so that both are one write.
    static let copiedBytes = 16 << 10

    let target: PlainTarget
    var isHEAD: Bool
    var isIdempotent: Bool
    /// The head, and a small body.
    var head: ByteBuffer
    /// A body that is written as it is, behind the head.
    var largeBody: ByteBuffer?
    var upload: TransferStateMachine.Upload
    /// How a streamed body is framed: its length, or `nil` for chunks.
    var streamLength: Int?
    let limits: TransferStateMachine.Limits
    /// Nanoseconds until a connection stands.
    let connectTimeout: UInt64

    /// Throws a ``GatewayError``: `upstream_request_invalid`, or `body_not_allowed` for a streamed body of a HEAD request.
    /// - Parameter memory: What an earlier request was written in, if it is to be used again.
    init(
        _ request: UpstreamRequest, to target: PlainTarget, body: OutgoingBody, in memory: ByteBuffer = ByteBuffer()
    ) throws(GatewayError) {
        let method = request.method.rawValue
        try RequestRules.check(method: method, body)
        self.target = target
        isHEAD = method == "HEAD"
        isIdempotent = RequestRules.isIdempotent(method)
        upload = body.upload
        limits = .init(request.connection)
        connectTimeout = request.connection.connectTimeout.nanoseconds
        head = memory
        if case .stream(let length) = body { streamLength = length }
        try write(method, request.headers, to: target, body)
    }

    /// Gives the memory of the head away, when nobody will send the request any more.
    mutating func takeHead() -> ByteBuffer {
        defer { head = ByteBuffer() }
        return head
    }

    private mutating func write(
        _ method: String, _ headers: HTTPHeaders, to target: PlainTarget, _ body: OutgoingBody
    ) throws(GatewayError) {
        var small = ByteBuffer()
        if case .bytes(let bytes) = body {
            if bytes.readableBytes <= PlainRequest.copiedBytes { small = bytes } else { largeBody = bytes }
        }
        // Takes memory of its own if somebody still has the bytes of the earlier request.
        head.clear(minimumCapacity: 768 + target.requestTarget.utf8.count + small.readableBytes)
        head.writeString(method)
        head.writeStaticString(" ")
        head.writeString(target.requestTarget)
        head.writeStaticString(" HTTP/1.1\r\n")
        head.writeField("Host", target.hostField)
        for (name, value) in headers where !RequestRules.isOwn(name) {
            try RequestRules.check(name: name, value: value)
            head.writeField(name, value)
        }
        writeFraming(method, body)
        head.writeStaticString("\r\n")
        head.writeImmutableBuffer(small)
    }

    private mutating func writeFraming(_ method: String, _ body: OutgoingBody) {
        switch body {
        case .none: if RequestRules.promisesBody(method) { head.writeStaticString("Content-Length: 0\r\n") }
        case .bytes(let bytes): head.writeField("Content-Length", String(bytes.readableBytes))
        case .stream(let length?): head.writeField("Content-Length", String(length))
        case .stream(nil): head.writeStaticString("Transfer-Encoding: chunked\r\n")
        }
    }
}
