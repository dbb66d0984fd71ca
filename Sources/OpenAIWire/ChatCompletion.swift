public import NIOCore

/// A chat completion that came as one JSON body: the messages as their bytes, and what is logged about it.
///
/// It is read loosely: what is missing or of another type is nil, because the client gets the body as it came anyway.
public struct ChatCompletion: Sendable {
    /// One of the answers.
    public struct Choice: Sendable {
        /// Its place among the answers.
        public let index: Int
        /// The message's JSON as it came; nil where there is none.
        public var message: ByteBuffer? { object?.bytes }
        /// The message's members; nil where there is none.
        public let object: JSONObject?
        /// Why the model stopped.
        public let finishReason: String?
        /// Whether the message holds anything: text, a refusal, tool calls, audio.
        public let hasOutput: Bool
    }

    /// The tokens that the upstream reports.
    public let usage: Usage?
    /// The sources that some providers name beside their answers: a JSON array.
    public let citations: ByteBuffer?
    /// The answers, in the order of the body.
    public let choices: [Choice]
    /// The error, where the body is one: some upstreams send errors with status 200.
    public let error: ErrorEnvelope?
    private let bytes: ByteBuffer

    /// The id that the upstream gave the completion.
    public var id: String? { string("id") }
    /// The model that answered, as the upstream names it.
    public var model: String? { string("model") }
    /// The configuration that the upstream says it ran with.
    public var systemFingerprint: String? { string("system_fingerprint") }

    /// What few ask for is looked up when it is asked for.
    private func string(_ key: String) -> String? { (try? JSONObject(scanning: bytes))?[key]?.string }

    /// Reads the body that is the whole of `bytes`, validated completely, since its messages will be stored.
    public init(scanning bytes: ByteBuffer) throws(WireError) {
        try JSON.validate(bytes)
        let body = try Body(bytes)
        self.bytes = bytes
        usage = body.usage.flatMap(Usage.init)
        citations = body.citations.flatMap { $0.kind == .array ? $0.bytes : nil }
        error = body.isError ? ErrorEnvelope(parsing: bytes) : nil
        choices = try body.choices.map { (value) throws(WireError) in try Choice.all(value) } ?? []
    }

    /// The answer with that index.
    public func choice(_ index: Int = 0) -> Choice? {
        choices.first { $0.index == index }
    }
}

/// The members of a completion that are looked at, found in one pass, the last one of repeated keys.
private struct Body {
    var usage: JSONValue?
    var citations: JSONValue?
    var choices: JSONValue?
    var isError = false

    init(_ bytes: ByteBuffer) throws(WireError) {
        try bytes.withUnsafeReadableBytes { (text) throws(WireError) in
            var count = 0
            try JSONScanner.forEachMember(of: text) { (scanner, key, range, kind) in
                count += 1
                func value() -> JSONValue { JSONValue(kind: kind, bytes: bytes.span(range)) }
                if scanner.key(key, is: "choices") {
                    choices = value()
                } else if scanner.key(key, is: "usage") {
                    usage = value()
                } else if scanner.key(key, is: "error") {
                    isError = kind != .null
                } else if scanner.key(key, is: "citations") {
                    citations = value()
                }
            }
            guard count <= JSON.maximumElements else {
                throw .tooLarge("members in an object", limit: JSON.maximumElements)
            }
        }
    }
}

extension ChatCompletion.Choice {
    /// The objects among the elements of `choices`.
    fileprivate static func all(_ choices: JSONValue) throws(WireError) -> [ChatCompletion.Choice] {
        var found: [ChatCompletion.Choice] = []
        for (position, element) in (try choices.array() ?? []).enumerated() where element.kind == .object {
            found.append(try ChatCompletion.Choice(element.bytes, position))
        }
        return found
    }

    /// - Parameter bytes: an object.
    private init(_ bytes: ByteBuffer, _ position: Int) throws(WireError) {
        var (index, reason, message): (Int?, String?, JSONValue?)
        try bytes.withUnsafeReadableBytes { (text) throws(WireError) in
            try JSONScanner.forEachMember(of: text) { (scanner, key, range, kind) in
                func value() -> JSONValue { JSONValue(kind: kind, bytes: bytes.span(range)) }
                if scanner.key(key, is: "index") {
                    index = value().int
                } else if scanner.key(key, is: "finish_reason") {
                    reason = value().string
                } else if scanner.key(key, is: "message") {
                    message = value()
                }
            }
        }
        self.index = index ?? position
        finishReason = reason?.isEmpty == true ? nil : reason
        object = try message.flatMap { (value) throws(WireError) in try value.object() }
        hasOutput = object.map(Self.hasOutput) ?? false
    }

    private static func hasOutput(_ message: JSONObject) -> Bool {
        if let content = message["content"], !isEmpty(content) { return true }
        return message.all.contains { $0.key != "role" && !isEmpty($0.value) }
    }

    private static func isEmpty(_ value: JSONValue) -> Bool {
        switch value.kind {
        case .null: true
        case .string: value.bytes.readableBytes == 2
        case .array: (try? value.array()?.isEmpty) ?? true
        case .object, .number, .true, .false: false
        }
    }
}
