import NIOCore
import NIOHTTP1
public import OpenAIWire

extension Request {
    /// The body as a chat request, scanned once for all middlewares that ask.
    ///
    /// Throws a ``GatewayError``: 400 that names what is wrong, or what reading the body gave.
    public func chatRequest(upTo limit: Int) async throws -> ChatRequest {
        try await body.derived(upTo: limit, ChatRequest.inBody)
    }

    /// The same where it needs no waiting: the body has come with its head, and is small. Else `nil`.
    package func chatRequestAtOnce(upTo limit: Int) throws -> ChatRequest? {
        try body.derivedAtOnce(upTo: limit, ChatRequest.inBody)
    }

    /// The body as a chat request, if some step has scanned it already: most steps come after one, and need not be
    /// functions that wait in order to be told again.
    package var scannedChatRequest: ChatRequest? { body.known(ChatRequest.self) }

    /// What the body asks for beside its messages, if some step has found it already.
    package var knownChatShape: ChatShape? { ChatShape(of: body) }

    /// What the body asks for beside its messages. Throws like `chatRequest`.
    ///
    /// Known without a scan of a body whose messages alone were changed, as those of a session are: it may be long.
    package func chatShape(upTo limit: Int) async throws -> ChatShape {
        if let known = ChatShape(of: body) { return known }
        return ChatShape(try await chatRequest(upTo: limit))
    }

    /// The body as a JSON object of any endpoint, scanned once for all middlewares that ask. Throws like `chatRequest`.
    public func jsonObject(upTo limit: Int) async throws -> JSONObject {
        try await body.derived(upTo: limit) { bytes in
            try JSONObject(request: bytes)
        }
    }
}

/// What a request for a chat completion asks for beside its messages.
package struct ChatShape: Sendable, Equatable {
    package let stream: Bool
    package let n: Int

    init(_ chat: ChatRequest) {
        stream = chat.stream
        n = chat.n
    }

    /// As some step has found it in the body, or in one that this was made of.
    init?(of body: RequestBody) {
        if let shape = body.known(ChatShape.self) {
            self = shape
        } else if let chat = body.known(ChatRequest.self) {
            self.init(chat)
        } else {
            return nil
        }
    }

    /// Whether it is the same with `edits`.
    func survives(_ edits: [JSONEdit]) -> Bool { !edits.contains { $0.key == "stream" || $0.key == "n" } }
}

extension JSONObject {
    /// A request's body. Throws a ``GatewayError``: 400 also for a decisive parameter that stands twice.
    fileprivate init(request bytes: ByteBuffer) throws(GatewayError) {
        self = try GatewayError.blamingClient { () throws(WireError) in
            try JSONObject(scanning: bytes, maximumMembers: JSON.maximumRequestMembers)
        }
        guard let key = repeatedKey(among: ChatRequest.decisiveFields) else { return }
        throw .badRequest("duplicate_parameter", "The parameter '\(key)' stands more than once.", param: key)
    }
}

extension ChatRequest {
    /// A request's body. Throws a ``GatewayError``.
    @Sendable fileprivate static func inBody(_ bytes: ByteBuffer) throws -> ChatRequest {
        let object = try JSONObject(request: bytes)
        return try GatewayError.blamingClient { () throws(WireError) in try ChatRequest(object) }
    }
}

extension GatewayError {
    /// Runs `read` on what a client sent: what it cannot read is the client's fault, a 400 that says where.
    public static func blamingClient<Value>(_ read: () throws(WireError) -> Value) throws(GatewayError) -> Value {
        do {
            return try read()
        } catch {
            throw GatewayError(wire: error)
        }
    }

    /// A client's JSON that cannot be read.
    public init(wire error: WireError) {
        if error.exceedsLimit {
            self.init(.client, .payloadTooLarge, code: "request_too_large", "\(error)", param: error.param)
        } else if error.isMissing {
            self = .badRequest("missing_required_parameter", "\(error)", param: error.param)
        } else {
            self = .badRequest(error.param == nil ? "invalid_json" : "invalid_value", "\(error)", param: error.param)
        }
    }
}
