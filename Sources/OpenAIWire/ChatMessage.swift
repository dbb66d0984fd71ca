public import NIOCore

/// One message of a conversation: its JSON as it came, and what placing it in a history needs to know.
///
/// The bytes are what is stored and sent again, so nothing a client or model wrote is lost. Only the outermost level
/// is checked here; `JSON.validate` the bytes before they are stored.
public struct ChatMessage: Sendable, Hashable {
    /// Who speaks. A role that is not known passes: the upstream decides.
    public enum Role: Sendable, Hashable {
        case system, developer, user, assistant, tool, function
        case other(String)

        /// The role of that name on the wire.
        public init(_ name: String) {
            switch name {
            case "system": self = .system
            case "developer": self = .developer
            case "user": self = .user
            case "assistant": self = .assistant
            case "tool": self = .tool
            case "function": self = .function
            default: self = .other(name)
            }
        }

        /// The name on the wire.
        public var name: String {
            switch self {
            case .system: "system"
            case .developer: "developer"
            case .user: "user"
            case .assistant: "assistant"
            case .tool: "tool"
            case .function: "function"
            case .other(let name): name
            }
        }

        /// Whether it instructs the model from outside the conversation: system and developer.
        public var isInstruction: Bool { self == .system || self == .developer }
    }

    /// Who speaks.
    public let role: Role
    /// The message's JSON as it came, sharing the memory of the text it lies in.
    public let bytes: ByteBuffer
    /// Whether it calls tools, so that the next messages must answer the calls.
    public let hasToolCalls: Bool
    /// The call that a tool message answers.
    public let toolCallID: String?

    /// Reads the message that is the whole of `bytes`.
    ///
    /// - Parameter param: how errors name it, such as `messages[3]`.
    public init(scanning bytes: ByteBuffer, param: @autoclosure () -> String = "message") throws(WireError) {
        var fields = Fields()
        do throws(WireError) {
            try bytes.withUnsafeReadableBytes { (text) throws(WireError) in try fields.read(text) }
        } catch {
            throw error.inside(param())
        }
        guard fields.hasRole else { throw .missing("\(param()).role") }
        guard let role = fields.role else { throw .wrongType("\(param()).role", expected: "a string") }
        self.role = role
        self.bytes = bytes
        hasToolCalls = fields.hasToolCalls
        toolCallID = fields.toolCallID
    }

    /// The ids of the tool calls that the message makes, in order; empty where there are none or they are malformed.
    public var toolCallIDs: [String] {
        guard hasToolCalls, let object = try? JSONObject(scanning: bytes),
            let calls = try? object["tool_calls"]?.array()
        else { return [] }
        return calls.compactMap { call in (try? call.object())?["id"]?.string }
    }
}

/// The members of a message that are looked at, found in one pass without collecting the others.
private struct Fields {
    var hasRole = false
    var role: ChatMessage.Role?
    var hasToolCalls = false
    var toolCallID: String?

    mutating func read(_ text: UnsafeRawBufferPointer) throws(WireError) {
        try JSONScanner.forEachMember(of: text) { scanner, key, value, kind in
            if scanner.key(key, is: "role") {
                hasRole = true
                role = scanner.string(kind, from: value.lowerBound).map(ChatMessage.Role.init)
            } else if scanner.key(key, is: "tool_calls") {
                hasToolCalls = kind == .array && !JSONScanner(text, at: value.lowerBound).isEmptyArray
            } else if scanner.key(key, is: "tool_call_id") {
                toolCallID = scanner.string(kind, from: value.lowerBound)
            }
        }
    }
}

extension JSONScanner {
    /// The string that was skipped from `start` to here; nil where the value is of another kind.
    func string(_ kind: JSONValue.Kind, from start: Int) -> String? {
        guard kind == .string else { return nil }
        return JSONText.string(bytes.slice(start + 1..<position - 1))
    }

    /// Whether the array that begins here has no elements.
    var isEmptyArray: Bool {
        var inside = JSONScanner(bytes, at: position + 1)
        inside.skipWhitespace()
        return inside.current == ASCII.closeBracket
    }
}
