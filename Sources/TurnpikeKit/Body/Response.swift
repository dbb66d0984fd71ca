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
    package internal(set) var transformers: [any ResponseTransformer] = []

    public init(status: HTTPResponseStatus, headers: HTTPHeaders = [:], body: ResponseBody = .empty) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A JSON answer from its bytes.
    public static func json(_ bytes: ByteBuffer, status: HTTPResponseStatus = .ok) -> Response {
        Response(status: status, headers: ["Content-Type": "application/json"], body: .bytes(bytes))
    }

    /// Whether the body is a stream of server-sent events that can be read: one that is compressed is just bytes.
    public var isEventStream: Bool {
        guard headers.first(name: "content-type")?.hasPrefixIgnoringCase("text/event-stream") == true else {
            return false
        }
        let encoding = headers.first(name: "content-encoding")
        return encoding == nil || encoding == "" || encoding == "identity"
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
    /// Throws a ``GatewayError``: what ended the body or a transformer, or `answer_too_large` above `limit` bytes. The
    /// transformers' ends have been called then, and the body is empty: the answer cannot be given any more.
    @discardableResult
    public mutating func collect(upTo limit: Int) async throws -> ByteBuffer {
        try await collect(upTo: limit, counting: nil)
    }

    /// The same, with what is held counted against `server.max_buffered` until `exchange` is over; throws 503 when all
    /// that is held together would be too much.
    @discardableResult
    public mutating func collect(upTo limit: Int, in exchange: Exchange) async throws -> ByteBuffer {
        if let bytes = wholeBody(upTo: limit) { return bytes }
        let reservation = exchange.reservation()
        exchange.keepToEnd(reservation)
        return try await collect(upTo: limit, counting: reservation)
    }

    /// The body where it is there already and nothing reworks it; nil where it has to be waited for.
    private func wholeBody(upTo limit: Int) -> ByteBuffer? {
        guard transformers.isEmpty, case .bytes(let bytes) = body, bytes.readableBytes <= limit else { return nil }
        return bytes
    }

    private mutating func collect(upTo limit: Int, counting reservation: BufferReservation?) async throws
        -> ByteBuffer
    {
        var pipeline = takePipeline()
        let raw = await takeBytes(upTo: limit, counting: reservation)
        guard !pipeline.isEmpty else { return try keep(raw.get()) }
        var whole: ByteBuffer?
        var failure: GatewayError?
        do {
            whole = try pipeline.receive(raw.get())
        } catch {
            failure = error
        }
        let tail = await pipeline.finish(failure.map(ResponseEnd.init(because:)) ?? .complete)
        if let failure = failure ?? tail.error { throw failure }
        guard var bytes = whole else { return keep(tail.bytes ?? ByteBuffer()) }
        if let tail = tail.bytes { bytes.writeImmutableBuffer(tail) }
        return keep(bytes)
    }

    /// Gives the answer up, for a middleware that answers otherwise: cancels the body and calls the transformers' ends.
    ///
    /// An answer that is dropped without this is cancelled too, but its transformers never learn that it ended.
    public mutating func discard(because reason: GatewayError) async {
        var pipeline = takePipeline()
        if case .stream(let source) = body { source.cancel() }
        body = .empty
        _ = await pipeline.finish(ResponseEnd(because: reason))
    }

    private mutating func takePipeline() -> ResponsePipeline {
        defer { transformers = [] }
        return ResponsePipeline(transformers, isEventStream: isEventStream)
    }

    private mutating func takeBytes(upTo limit: Int, counting reservation: BufferReservation?) async -> Result<
        ByteBuffer, GatewayError
    > {
        let content = body
        body = .empty
        switch content {
        case .empty: return .success(ByteBuffer())
        case .bytes(let bytes):
            return bytes.readableBytes > limit ? .failure(.answerTooLarge(limit: limit)) : .success(bytes)
        case .stream(let source):
            let collector = BodyCollector(
                source, limit: limit, tooLarge: GatewayError.answerTooLarge(limit:), reservation)
            if let result = collector.begin() { return result }
            return await collector.wait()
        }
    }

    private mutating func keep(_ bytes: ByteBuffer) -> ByteBuffer {
        body = .bytes(bytes)
        return bytes
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
