import NIOCore
import NIOHTTP1
public import OpenAIWire

extension Request {
    /// The body as a chat request, scanned once for all middlewares that ask.
    ///
    /// Throws a ``GatewayError``: 400 that names what is wrong, or what reading the body gave.
    public func chatRequest(upTo limit: Int) async throws -> ChatRequest {
        try await body.derived(upTo: limit) { bytes in
            let object = try JSONObject(request: bytes)
            return try GatewayError.blamingClient { () throws(WireError) in try ChatRequest(object) }
        }
    }

    /// The body as a chat request, if some step has scanned it already: most steps come after one, and need not be
    /// functions that wait in order to be told again.
    package var scannedChatRequest: ChatRequest? { body.known(ChatRequest.self) }

    /// The body as a JSON object of any endpoint, scanned once for all middlewares that ask. Throws like `chatRequest`.
    public func jsonObject(upTo limit: Int) async throws -> JSONObject {
        try await body.derived(upTo: limit) { bytes in
            try JSONObject(request: bytes)
        }
    }
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
