import Conversations
import NIOCore
import OpenAIWire
import Persistence
import TurnpikeKit

/// The body of a request that makes a session.
enum SessionCreationBody {
    /// - Throws: 400 for a field of the wrong type. An empty body makes a session without anything.
    static func draft(_ bytes: ByteBuffer, owner: UniqueID) throws -> SessionDraft {
        guard bytes.readableBytes > 0 else { return SessionDraft(owner: owner) }
        let body = try GatewayError.blamingClient { () throws(WireError) in
            try JSON.validate(bytes)
            return try JSONObject(scanning: bytes)
        }
        var draft = SessionDraft(owner: owner, externalID: try id(body), conversation: try conversation(body))
        draft.settings = try settings(body)
        return draft
    }

    private static func id(_ body: JSONObject) throws -> String? {
        guard let text = try string(body, "id", "session_id") else { return nil }
        guard !text.hasPrefix(Session.idPrefix) else {
            throw GatewayError.badRequest(
                "invalid_session_id", "Ids that begin with “\(Session.idPrefix)” are made by the server.", param: "id")
        }
        return try SessionName.check(text, "id")
    }

    private static func conversation(_ body: JSONObject) throws -> AgentConversation? {
        guard body.nonNull("external_conv_id") != nil else { return nil }
        return try AgentConversation(body)
    }

    private static func settings(_ body: JSONObject) throws -> SessionSettings {
        var settings = SessionSettings()
        settings.title = try string(body, "title", "session_name", "name") ?? ""
        settings.sourceChannel = try string(body, "source_channel")
        settings.provider = try string(body, "provider")
        settings.model = try string(body, "model", "model_name")
        settings.maxHistory = try GatewayError.blamingClient { () throws(WireError) in
            try body.int("max_history_messages", in: 0...1_000_000)
        }
        settings.historyMode = try string(body, "history_mode")
        if let mode = settings.historyMode, HistoryMode(rawValue: mode) == nil {
            let known = HistoryMode.allCases.map(\.rawValue).joined(separator: ", ")
            throw GatewayError.badRequest(
                "invalid_value", "The history mode is one of \(known).", param: "history_mode")
        }
        settings.metadata = try GatewayError.blamingClient { () throws(WireError) in try body.members("metadata") }?
            .bytes
        return settings
    }

    /// The first of the names that is there.
    private static func string(_ body: JSONObject, _ names: String...) throws -> String? {
        for name in names {
            if let text = try SessionSelection.string(body, name) { return text }
        }
        return nil
    }
}
