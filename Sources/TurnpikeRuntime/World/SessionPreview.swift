import NIOHTTP1
import TurnpikeKit

/// The dry run of a chat request in a session: `POST /v1/chat/sessions/{id}/preview`.
///
/// It takes the way of the chat request that its body is, through the same chain with the same flags, so that what it
/// shows is what would be sent; the router then answers instead of sending it.
enum SessionPreview {
    private static let bases = ["/v1/chat/sessions/", "/chat/sessions/"]
    private static let end = "/preview"

    /// The chat request that is to be tried; `nil` for any other request.
    static func request(_ request: Request) -> Request? {
        // Every request is asked; a look at one byte answers for nearly all.
        guard request.head.method == .POST, case let path = request.head.path, path.utf8.last == UInt8(ascii: "w"),
            path.hasSuffix(end),
            let base = bases.first(where: { path.hasPrefix($0) }), path.utf8.count > base.utf8.count + end.utf8.count,
            let id = PercentEncoding.decode(path.dropFirst(base.count).dropLast(end.count)), !id.contains("/")
        else { return nil }
        var chat = request
        chat.head.target = "/v1/chat/completions" + request.head.target.dropFirst(path.count)
        chat.head.headers.replaceOrAdd(name: "X-Session-ID", value: id)
        return chat
    }
}

extension SessionPreview {
    /// What the API document says about it.
    static let endpoints = [("/v1/chat/sessions", ""), ("/chat/sessions", "Alias")].map { base, suffix in
        DescribedEndpoint(
            method: "POST", path: base + "/{id}/preview",
            RouteDescription(
                "previewChat" + suffix, "What a chat request in this session would send, without sending it.",
                body: "ChatRequest", answers: [RouteAnswer(200, "SessionPreview", "The request, and why it is that.")]))
    }

    static let schemas = [
        RouteSchema(
            "ChatRequest",
            """
            {"description":"The body of a chat completion; what it says beside these fields goes to the provider.",
            "type":"object","required":["model","messages"],"properties":{"model":{"type":"string"},
            "messages":{"type":"array","items":{"$ref":"#/components/schemas/JSONObject"}}},
            "additionalProperties":{"$ref":"#/components/schemas/JSONValue"}}
            """),
        RouteSchema(
            "SessionPreview",
            """
            {"type":"object","additionalProperties":false,"required":["object","provider","model","request"],
            "properties":{"object":{"const":"chat.session.preview"},"provider":{"type":"string"},
            "model":{"type":"string"},"history":{"$ref":"#/components/schemas/HistoryReport"},
            "notes":{"description":"What other plugins have to say.","type":"array","items":{"type":"object",
            "additionalProperties":false,"required":["name","note"],"properties":{"name":{"type":"string"},
            "note":{"$ref":"#/components/schemas/JSONValue"}}}},
            "request":{"$ref":"#/components/schemas/JSONObject"}}}
            """),
        RouteSchema(
            "HistoryReport",
            """
            {"type":"object","required":["mode","injected","dropped","reason"],"additionalProperties":false,
            "properties":{"mode":{"enum":["inject","shadow"]},"injected":{"type":"integer"},
            "dropped":{"type":"integer"},"superseded":{"type":"integer"},"new_messages":{"type":"integer"},
            "reason":{"type":"string"},"truncation":{"type":"string"},"max_history_messages":{"type":"integer"},
            "retry":{"type":"boolean"},"partial":{"type":"boolean"},"tokens":{"type":"integer"},
            "budget":{"type":"integer"},"context_window":{"type":"integer"},
            "context_window_assumed":{"type":"boolean"},"reserved_output":{"type":"integer"},
            "request_tokens":{"type":"integer"}}}
            """),
    ]
}
