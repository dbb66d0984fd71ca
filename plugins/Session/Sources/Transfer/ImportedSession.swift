import Conversations
import NIOCore
import OpenAIWire
import Persistence
import TurnpikeKit

/// One session of an export, read.
struct ImportedSession: Sendable {
    /// What is to be stored.
    var whole: SessionImport
    let former: FormerName
    private(set) var messageCount = 0
    /// The `turn_id` of the newest turn in the file: neighbours that have the same one stay together.
    private var turnID: String?

    init(_ value: JSONValue, of owner: UniqueID, param: String) throws {
        guard let object = try GatewayError.blamingClient({ () throws(WireError) in try value.object() }) else {
            throw GatewayError(wire: .wrongType(param, expected: "an object"))
        }
        let fields = RequestFields(object)
        former = try FormerName(fields, param)
        // Its ids are read above.
        whole = SessionImport(try SessionFields(object.without(["id", "session_id"])).draft(owner: owner))
        whole.draft.externalID = former.externalID
        let messages = try fields.elements("system") ?? []
        for (index, message) in messages.enumerated() where message.kind != .object {
            throw GatewayError(wire: .wrongType("\(param).system[\(index)]", expected: "an object"))
        }
        if !messages.isEmpty { whole.draft.system = SystemMessages(messages: messages.map(\.bytes)) }
        for (index, message) in (try fields.elements("messages") ?? []).enumerated() {
            try add(message, param: "\(param).messages[\(index)].")
        }
        try addFeedback(fields, seq: nil, param: param + ".")
    }

    private mutating func add(_ value: JSONValue, param: String) throws {
        guard let object = try GatewayError.blamingClient({ () throws(WireError) in try value.object() }) else {
            throw GatewayError(wire: .wrongType(param, expected: "an object"))
        }
        let fields = RequestFields(object)
        var message = try MessageFields.message(Self.body(object), param: param)
        try MessageFields.readBesides(fields, into: &message, param)
        let id = try fields.text("turn_id").value
        if let last = whole.turns.indices.last, id != nil ? turnID == id : message.role != .user {
            whole.turns[last].messages.append(message)
        } else {
            var turn = TurnDraft(
                key: whole.draft.key, baseSeq: Int64(messageCount + 1), requestDigest: message.digest,
                messages: [message])
            turn.status = .imported
            whole.turns.append(turn)
            turnID = id
        }
        messageCount += 1
        try addFeedback(fields, seq: Int64(messageCount), param: param)
    }

    private mutating func addFeedback(_ fields: RequestFields, seq: Int64?, param: String) throws {
        guard let feedback = try fields.fields("feedback") else { return }
        whole.feedback.append(
            try FeedbackFields.feedback(
                feedback, seq: seq, at: .now(), param: param + "feedback.", keepsTimes: true))
    }

    /// The message as it came, which an export has under `message`.
    private static func body(_ object: JSONObject) throws -> JSONObject {
        guard let value = object.nonNull("message") else { return object.without(["feedback"]) }
        return try GatewayError.blamingClient { () throws(WireError) in try value.object() } ?? object
    }
}

extension FormerName {
    /// - Throws: 400 for an id that no client can choose.
    fileprivate init(_ fields: RequestFields, _ param: String) throws {
        let text = try fields.text("id", "session_id").value
        let isServers = text?.hasPrefix(Session.idPrefix) ?? false
        id = isServers ? text : nil
        conversation = try fields.text("external_conv_id").value
        guard let own = try fields.text("external_id").value ?? (isServers ? nil : text) else { return }
        guard !own.hasPrefix(Session.idPrefix) else {
            throw GatewayError.badRequest(
                "invalid_session_id", "Ids that begin with “\(Session.idPrefix)” are made by the server.",
                param: "\(param).external_id")
        }
        externalID = try SessionName.check(own, "\(param).external_id")
    }
}

extension JSONObject {
    fileprivate func without(_ names: [String]) -> JSONObject {
        let edited = edited(names.filter { self[$0] != nil }.map(JSONEdit.remove))
        return (try? JSONObject(scanning: edited)) ?? self
    }
}
