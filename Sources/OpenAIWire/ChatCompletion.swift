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

    /// The id that the upstream gave the completion.
    public let id: String?
    /// The model that answered, as the upstream names it.
    public let model: String?
    /// The configuration that the upstream says it ran with.
    public let systemFingerprint: String?
    /// The tokens that the upstream reports.
    public let usage: Usage?
    /// The sources that some providers name beside their answers: a JSON array.
    public let citations: ByteBuffer?
    /// The answers, in the order of the body.
    public let choices: [Choice]
    /// The error, where the body is one: some upstreams send errors with status 200.
    public let error: ErrorEnvelope?

    /// Reads the body that is the whole of `bytes`, validated completely, since its messages will be stored.
    public init(scanning bytes: ByteBuffer) throws(WireError) {
        try JSON.validate(bytes)
        let object = try JSONObject(scanning: bytes)
        id = object["id"]?.string
        model = object["model"]?.string
        systemFingerprint = object["system_fingerprint"]?.string
        usage = object["usage"].flatMap(Usage.init)
        citations = object["citations"].flatMap { $0.kind == .array ? $0.bytes : nil }
        error = object.nonNull("error") == nil ? nil : ErrorEnvelope(parsing: bytes)
        var choices: [Choice] = []
        for (position, element) in (try object["choices"]?.array() ?? []).enumerated() {
            if let choice = try element.object() { choices.append(try Choice(choice, position)) }
        }
        self.choices = choices
    }

    /// The answer with that index.
    public func choice(_ index: Int = 0) -> Choice? {
        choices.first { $0.index == index }
    }
}

extension ChatCompletion.Choice {
    fileprivate init(_ object: JSONObject, _ position: Int) throws(WireError) {
        index = object["index"]?.int ?? position
        let reason = object["finish_reason"]?.string
        finishReason = reason?.isEmpty == true ? nil : reason
        let message = try object["message"]?.object()
        self.object = message
        hasOutput = message.map(Self.hasOutput) ?? false
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
