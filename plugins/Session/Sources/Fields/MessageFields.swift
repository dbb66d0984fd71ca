import Conversations
import NIOCore
import OpenAIWire
import Persistence
import TurnpikeKit

/// A message in a body that is to be stored: its JSON as it came, less the fields that are kept beside it.
enum MessageFields {
    /// Most messages of one request.
    static let maximumMessages = 1_000

    /// What is kept beside a message, and never goes upstream with it.
    private static let besides = [
        "chapter", "citations", "metadata", "id", "sequence", "session_id", "created_at", "timestamp", "tokens",
        "status", "model", "object", "turn_id",
    ]

    /// The messages of a body: `{"messages": […]}`, or one message unless it must be a list.
    static func messages(
        _ bytes: ByteBuffer, mustBeList: Bool = false
    ) throws -> (messages: [NewMessage], isList: Bool) {
        let fields = try RequestFields(bytes)
        guard let elements = try fields.elements("messages") else {
            guard !mustBeList else { throw GatewayError(wire: .missing("messages")) }
            return ([try message(fields.object, param: "")], false)
        }
        guard (1...maximumMessages).contains(elements.count) else {
            throw GatewayError.badRequest(
                "invalid_value", "“messages” has 1 to \(maximumMessages) elements.", param: "messages")
        }
        return (try elements.enumerated().map { try message(object($1, $0), param: "messages[\($0)].") }, true)
    }

    private static func object(_ value: JSONValue, _ index: Int) throws -> JSONObject {
        guard let object = try GatewayError.blamingClient({ () throws(WireError) in try value.object() }) else {
            throw GatewayError(wire: .wrongType("messages[\(index)]", expected: "an object"))
        }
        return object
    }

    static func message(_ object: JSONObject, param: String) throws -> NewMessage {
        let role = try role(object, param)
        try checkContent(object, param)
        let fields = RequestFields(object)
        let body = object.edited(besides.filter { object[$0] != nil }.map(JSONEdit.remove))
        let digest = try GatewayError.blamingClient { () throws(WireError) in
            StoredDigest(try MessageDigest(messageJSON: body))
        }
        var message = NewMessage(
            role: role, body: body, digest: digest, digestVersion: Int(MessageDigest.version),
            tokens: try fields.int("tokens", in: 0...Int(Int32.max)).value)
        message.chapter = try chapter(fields, param)
        message.citations = try fields.array("citations").value ?? Citations.of(object)
        message.metadata = try fields.object("metadata").value
        message.model = try fields.text("model").value
        message.status = TurnStatus.imported
        return message
    }

    /// What an export has beside a message.
    static func readBesides(_ fields: RequestFields, into message: inout NewMessage, _ param: String) throws {
        message.chapter = try chapter(fields, param)
        message.citations = try fields.array("citations").value.flatMap { $0.readableBytes > 2 ? $0 : nil }
        message.metadata = try fields.object("metadata").value.flatMap { $0.readableBytes > 2 ? $0 : nil }
        message.tokens = try fields.int("tokens", in: 0...Int(Int32.max)).value
        message.model = try fields.text("model").value
        message.status = try fields.text("status").value.flatMap(TurnStatus.init) ?? .imported
        message.createdAt = try fields.time("created_at")
    }

    static func chapter(_ fields: RequestFields, _ param: String) throws -> String? {
        guard let chapter = try fields.text("chapter").value else { return nil }
        guard !chapter.isEmpty, chapter.unicodeScalars.count <= 200 else {
            throw GatewayError.badRequest(
                "invalid_value", "A chapter has 1 to 200 characters.", param: param + "chapter")
        }
        return chapter
    }

    private static func role(_ object: JSONObject, _ param: String) throws -> MessageRole {
        guard let value = object.nonNull("role") else { throw GatewayError(wire: .missing(param + "role")) }
        let role = value.string.map(MessageRole.init(name:)) ?? .other
        guard role != .other else {
            throw GatewayError.badRequest(
                "invalid_value", "The role is one of system, developer, user, assistant, tool, function.",
                param: param + "role")
        }
        return role
    }

    /// Text, an array of parts, or null where the model called tools or refused.
    private static func checkContent(_ object: JSONObject, _ param: String) throws {
        switch object["content"]?.kind {
        case .string, .array: return
        case .null, nil:
            let others = ["tool_calls", "function_call", "refusal", "audio"]
            guard !others.contains(where: { object.nonNull($0) != nil }) else { return }
            throw GatewayError(wire: .missing(param + "content"))
        case .object, .number, .true, .false: break
        }
        throw GatewayError.badRequest(
            "invalid_value", "The content is a string or an array of parts.", param: param + "content")
    }
}
