public import NIOCore

/// OpenAI's error object: what every error of ours is sent as, and what upstreams' errors are read into.
public struct ErrorEnvelope: Sendable, Hashable {
    /// For people; the SDKs show it.
    public var message: String
    /// The class of the error, such as `invalid_request_error`.
    public var type: String
    /// The request's parameter that is at fault.
    public var param: String?
    /// What programs compare, such as `context_length_exceeded`.
    public var code: String?
    /// Our id of the request, so that a user can name it in a report.
    public var requestID: String?

    /// An error of our own.
    public init(
        message: String, type: String, param: String? = nil, code: String? = nil, requestID: String? = nil
    ) {
        self.message = message
        self.type = type
        self.param = param
        self.code = code
        self.requestID = requestID
    }

    /// Reads what an upstream sent, as loosely as upstreams differ: `{"error": {…}}`, `{"error": "…"}`,
    /// `{"message": …}`, `{"detail": "…"}`; a code may be a number. Nil where nothing of the kind is found.
    public init?(parsing bytes: ByteBuffer) {
        guard let object = try? JSONObject(scanning: bytes) else { return nil }
        let error = object.nonNull("error")
        if let text = error?.string ?? object["detail"]?.string {
            self.init(message: text, type: object["type"]?.string ?? "")
            return
        }
        let inner = (try? error?.object()) ?? object
        guard error != nil || inner["message"]?.string != nil else { return nil }
        self.init(
            message: inner["message"]?.string ?? "", type: inner["type"]?.string ?? "", param: inner["param"]?.string,
            code: inner.nonNull("code").map { $0.string ?? String(buffer: $0.bytes) },
            requestID: inner["request_id"]?.string)
    }

    /// `{"error":{"message":…,"type":…,"param":…,"code":…}}`, with `request_id` in the inner object where there is one.
    public var json: ByteBuffer {
        JSONWriter.object { json in
            json.object("error") { error in
                error.member("message", message)
                error.member("type", type)
                error.member("param", param)
                error.member("code", code)
                if let requestID { error.member("request_id", requestID) }
            }
        }
    }

    /// The same as an SSE event named `error`: for a stream that has begun. The SDKs raise it for its data.
    public var event: ServerSentEvent {
        ServerSentEvent(data: json, name: "error")
    }
}
