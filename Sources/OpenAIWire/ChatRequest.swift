public import NIOCore

/// A request for a chat completion: the parameters that Turnpike acts on, over the body as it came.
///
/// Reading it finds the outermost members only; the messages are found when they are asked for. A parameter of the
/// wrong type is an error that names it. `null` means missing, as it does for OpenAI.
///
/// A class, because the steps of a chain hand a request on fifteen times, and each copy of these values would count the
/// references of all of them.
public final class ChatRequest: Sendable {
    /// Members that are for Turnpike, and that no upstream may see.
    public static let extensionFields = ["session_id", "session", "history_mode"]

    /// Members that Turnpike acts on. One that stands twice is refused: readers differ in which of the two they take, and
    /// the upstream's must not be another than ours.
    public static let decisiveFields = [
        "model", "messages", "stream", "stream_options", "n", "store", "max_tokens", "max_completion_tokens", "tools",
        "functions", "response_format", "session_id", "session", "history_mode",
    ]

    /// The body's members.
    public let object: JSONObject
    /// The model's name as the client gave it.
    public let model: String
    /// Whether the answer is wanted as a stream.
    public let stream: Bool
    /// How many choices are wanted.
    public let n: Int
    /// Whether the provider is asked to keep the completion.
    public let store: Bool
    /// Whether a stream is to report usage in a chunk of its own (`stream_options.include_usage`).
    public let includesUsage: Bool

    /// The body as it came.
    public var bytes: ByteBuffer { object.bytes }

    /// Reads the request that is the whole of `bytes`.
    public convenience init(scanning bytes: ByteBuffer) throws(WireError) {
        try self.init(JSONObject(scanning: bytes, maximumMembers: JSON.maximumRequestMembers))
    }

    /// Reads the request whose members have been found already.
    public init(_ object: JSONObject) throws(WireError) {
        self.object = object
        guard let model = try object.string("model") else { throw .missing("model") }
        self.model = model
        stream = try object.bool("stream") ?? false
        store = try object.bool("store") ?? false
        n = try object.int("n", in: 1...128) ?? 1
        let options = try object.members("stream_options")
        includesUsage = try options?.bool("include_usage", as: "stream_options.include_usage") ?? false
    }

    /// The messages in order, each with its bytes. At least the outermost level of each is well formed.
    public func messages() throws(WireError) -> [ChatMessage] {
        guard let value = object.nonNull("messages") else { throw .missing("messages") }
        guard value.kind == .array else { throw .wrongType("messages", expected: "an array") }
        return try Self.messages(inArray: value.bytes)
    }

    /// The messages that are the elements of a JSON array.
    public static func messages(inArray bytes: ByteBuffer) throws(WireError) -> [ChatMessage] {
        var messages: [ChatMessage] = []
        for (index, element) in try elements(ofArray: bytes).enumerated() {
            guard element.kind == .object else { throw .wrongType("messages[\(index)]", expected: "an object") }
            messages.append(try ChatMessage(scanning: element.bytes, param: "messages[\(index)]"))
        }
        return messages
    }

    private static func elements(ofArray bytes: ByteBuffer) throws(WireError) -> [JSONValue] {
        do throws(WireError) { return try JSONArray.elements(of: bytes) } catch { throw error.inside("messages") }
    }

    /// The most tokens that the answer may have, as the client set it under either name.
    public func outputLimit() throws(WireError) -> Int? {
        var limit = try object.int("max_completion_tokens", in: 0...Int.max)
        if limit == nil { limit = try object.int("max_tokens", in: 0...Int.max) }
        // Whoever reckons with it must not overflow; no model says as much.
        return limit.map { min($0, 1 << 40) }
    }

    /// The body with `edits` applied; what they do not name stays as it came.
    public func edited(_ edits: [JSONEdit]) -> ByteBuffer {
        object.edited(edits)
    }
}

// MARK: - Edits

extension ChatRequest {
    /// Takes every extension field out.
    public static let removingExtensions = extensionFields.map(JSONEdit.remove)

    /// Replaces the messages by `messages`, each the JSON of one.
    public static func settingMessages(_ messages: [ByteBuffer]) -> JSONEdit {
        .set("messages", elements: messages)
    }

    /// Replaces the model's name by the one that the provider knows.
    public static func settingModel(_ model: String) -> JSONEdit {
        .set("model", JSONWriter.string(model))
    }

    /// Asks for usage in the stream; other stream options stay. Nil where the client asks for it already.
    public func includingUsage() throws(WireError) -> JSONEdit? {
        guard !includesUsage else { return nil }
        let yes = ByteBuffer(string: "true")
        guard let options = try object.members("stream_options") else {
            return .set("stream_options", JSONWriter.object { $0.member("include_usage", true) })
        }
        return .set("stream_options", options.edited([.set("include_usage", yes)]))
    }
}

// MARK: - Parameters

extension JSONObject {
    /// The string parameter `key`: nil where it is missing or null, an error where it is of another type.
    public func string(_ key: String, as param: String? = nil) throws(WireError) -> String? {
        guard let value = nonNull(key) else { return nil }
        guard let string = value.string else { throw .wrongType(param ?? key, expected: "a string") }
        return string
    }

    /// The boolean parameter `key`: nil where it is missing or null, an error where it is of another type.
    public func bool(_ key: String, as param: String? = nil) throws(WireError) -> Bool? {
        guard let value = nonNull(key) else { return nil }
        guard let bool = value.bool else { throw .wrongType(param ?? key, expected: "a boolean") }
        return bool
    }

    /// The integer parameter `key`: nil where it is missing or null, an error where it is none or outside `range`.
    public func int(_ key: String, in range: ClosedRange<Int>, as param: String? = nil) throws(WireError) -> Int? {
        guard let value = nonNull(key) else { return nil }
        guard let int = value.int else { throw .wrongType(param ?? key, expected: "an integer") }
        guard range.contains(int) else {
            throw .wrongType(param ?? key, expected: "an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return int
    }

    /// The object parameter `key`: nil where it is missing or null, an error where it is of another type.
    public func members(_ key: String, as param: String? = nil) throws(WireError) -> JSONObject? {
        guard let value = nonNull(key) else { return nil }
        guard value.kind == .object else { throw .wrongType(param ?? key, expected: "an object") }
        do throws(WireError) { return try value.object() } catch { throw error.inside(param ?? key) }
    }
}
