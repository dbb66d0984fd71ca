import NIOHTTP1
import TurnpikeKit

extension Endpoint {
    /// The endpoint that a method and path mean at a provider.
    ///
    /// Throws 404 for a path outside `/v1`, 405 for a known path under another method, and 400 for a path with `..`
    /// segments, however encoded: the upstream might resolve them to an endpoint that is not meant to be reached.
    static func classify(_ head: RequestHead) throws -> Endpoint {
        let (method, path) = (head.method, head.path)
        // What nearly every request asks for is taken at a glance.
        if method == .POST, path.hasBytes(of: "/v1/chat/completions") { return .chatCompletions }
        guard isPlain(path) else {
            throw GatewayError.badRequest("invalid_path", "The path has a dot segment or a broken escape.")
        }
        guard path.hasPrefix("/v1/") else { throw GatewayError.unknownURL(head) }
        let rest = path.dropFirst("/v1/".count)
        if let known = exact[rest] {
            guard method == .POST else { return try withOtherMethod(head, rest) }
            return known
        }
        if rest == "models" || rest.hasPrefix("models/") { return try models(head, rest) }
        let first = rest.prefix { $0 != "/" }
        if stateful.contains(first) || rest.hasPrefix("chat/completions/") { return .stateful }
        return .unknown
    }

    /// Whether the path has neither a dot segment nor a broken escape. Without an escape or a dot there is nothing to
    /// look at.
    ///
    /// Upstreams differ in what they make of a path, and may stand behind a proxy that decodes it once more: a backslash
    /// counts as a slash, what follows a semicolon as no part of the segment, and what is still escaped is decoded again.
    private static func isPlain(_ path: Substring) -> Bool {
        guard path.utf8.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: ".") }) else { return true }
        guard let decoded = PercentEncoding.decode(path), !hasDotSegment(decoded) else { return false }
        guard let again = PercentEncoding.decode(Substring(decoded)) else { return true }
        return !hasDotSegment(again)
    }

    /// By bytes: a slash with a combining mark behind it is one character, and another one.
    private static func hasDotSegment(_ path: String) -> Bool {
        path.utf8.split(whereSeparator: { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }).contains { segment in
            let name = segment.prefix { $0 != UInt8(ascii: ";") }
            return name.count <= 2 && !name.isEmpty && name.allSatisfy { $0 == UInt8(ascii: ".") }
        }
    }

    private static let exact: [Substring: Endpoint] = [
        "chat/completions": .chatCompletions, "completions": .json, "embeddings": .json, "moderations": .json,
        "images/generations": .json, "images/edits": .streamed, "images/variations": .streamed,
        "audio/speech": .json, "audio/transcriptions": .streamed, "audio/translations": .streamed,
    ]

    /// What keeps state in the provider's account, as OpenAI's API reference lists it (2026). Of audio and images what
    /// is not in `exact`, such as custom voices and the recordings of consent to them.
    private static let stateful: Set<Substring> = [
        "files", "uploads", "batches", "responses", "conversations", "assistants", "threads", "vector_stores",
        "fine_tuning", "evals", "containers", "realtime", "videos", "chatkit", "organization", "skills",
        "audio", "images",
    ]

    /// `GET /v1/chat/completions` lists stored completions: state, like its items.
    private static func withOtherMethod(_ head: RequestHead, _ rest: Substring) throws -> Endpoint {
        if rest == "chat/completions", head.method == .GET { return .stateful }
        throw GatewayError.methodNotAllowed(head, use: [.POST])
    }

    private static func models(_ head: RequestHead, _ rest: Substring) throws -> Endpoint {
        // Deleting a fine-tuned model changes the provider's account.
        if head.method == .DELETE { return .stateful }
        guard head.method == .GET || head.method == .HEAD else {
            throw GatewayError.methodNotAllowed(head, use: [.GET])
        }
        let id = rest.dropFirst("models/".count)
        return .models(id: id.isEmpty ? nil : PercentEncoding.decode(id))
    }
}
