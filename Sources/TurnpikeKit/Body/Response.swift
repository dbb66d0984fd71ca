public import NIOCore
public import NIOHTTP1

/// An answer on its way to the client: a head that can still be changed, a body, and what will be done to the body.
public struct Response: Sendable {
    public var status: HTTPResponseStatus
    public var headers: HTTPHeaders
    public var body: ResponseBody
    /// What this answer reports, if it is an error of Turnpike's or a plugin's own: the exchange then counts as refused.
    package var error: GatewayError?
    /// What reworks the body while it passes, the innermost (closest to the upstream) first.
    package private(set) var transformers: [any ResponseTransformer] = []

    public init(status: HTTPResponseStatus, headers: HTTPHeaders = [:], body: ResponseBody = .empty) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A JSON answer from its bytes.
    public static func json(_ bytes: ByteBuffer, status: HTTPResponseStatus = .ok) -> Response {
        Response(status: status, headers: ["Content-Type": "application/json"], body: .bytes(bytes))
    }

    /// Whether the body is a stream of server-sent events.
    public var isEventStream: Bool {
        guard let type = headers.first(name: "content-type") else { return false }
        let wanted = "text/event-stream"
        return type.utf8.count >= wanted.utf8.count
            && zip(type.utf8, wanted.utf8).allSatisfy { $0 | 0x20 == $1 | 0x20 }
    }

    /// Adds a transformer outside all that are there: it sees what they let through.
    ///
    /// A response whose body is reworked loses its `Content-Length`; the server frames it anew.
    public mutating func transform(with transformer: any ResponseTransformer) {
        transformers.append(transformer)
        headers.remove(name: "Content-Length")
    }

    /// Reads the whole body, through the transformers added so far, and leaves it in place as bytes.
    ///
    /// Throws a ``GatewayError``: what ended the body, or `bad_gateway` above `limit` bytes.
    @discardableResult
    public mutating func collect(upTo limit: Int) async throws -> ByteBuffer {
        var pipeline = ResponsePipeline(transformers, isEventStream: isEventStream)
        transformers = []
        let raw: ByteBuffer
        do {
            raw = try await rawBytes(upTo: limit)
        } catch {
            let failure = error as? GatewayError ?? .internalError("\(error)")
            _ = await pipeline.finish(failure.code == GatewayError.clientLeft.code ? .clientLeft : .failed(failure))
            throw failure
        }
        guard !pipeline.isEmpty else {
            body = .bytes(raw)
            return raw
        }
        var whole = try pipeline.receive(raw) ?? ByteBuffer()
        let tail = await pipeline.finish(.complete)
        if let error = tail.error { throw error }
        if let bytes = tail.bytes { whole.writeImmutableBuffer(bytes) }
        body = .bytes(whole)
        return whole
    }

    private func rawBytes(upTo limit: Int) async throws -> ByteBuffer {
        switch body {
        case .empty: return ByteBuffer()
        case .bytes(let bytes): return bytes
        case .stream(let source):
            return try await BodyCollector(source, limit: limit, tooLarge: .answerTooLarge(limit: limit)).collect()
        }
    }
}

/// A response's body.
public enum ResponseBody: Sendable {
    case empty
    case bytes(ByteBuffer)
    case stream(any BodySource)
}

extension GatewayError {
    /// The upstream's answer is larger than what has to be held of it.
    public static func answerTooLarge(limit: Int) -> GatewayError {
        GatewayError(
            .upstream, .badGateway, code: "answer_too_large",
            "The upstream's answer is larger than the \(limit) bytes that can be kept of one answer.", retry: .unsafe)
    }
}
