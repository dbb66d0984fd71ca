import Conversations
import NIOCore
import OpenAIWire
import Persistence
import TurnpikeKit

/// The fields of a session in a body, under every name that the dialects give them.
///
/// What is not named stays as it is; `null` clears it.
struct SessionFields: Sendable {
    private let fields: RequestFields

    init(_ bytes: ByteBuffer) throws(GatewayError) { fields = try RequestFields(bytes) }

    init(_ object: JSONObject) { fields = RequestFields(object) }

    /// The session that the body asks for.
    func draft(owner: UniqueID) throws -> SessionDraft {
        var draft = SessionDraft(owner: owner, externalID: try id(), conversation: try conversation())
        try apply(to: &draft.settings)
        draft.system = try systemPrompt().value.map(SystemMessages.init(prompt:))
        return draft
    }

    private func id() throws -> String? {
        guard let text = try fields.text("id", "session_id").value else { return nil }
        guard !text.hasPrefix(Session.idPrefix) else {
            throw GatewayError.badRequest(
                "invalid_session_id", "Ids that begin with “\(Session.idPrefix)” are made by the server.", param: "id")
        }
        return try SessionName.check(text, "id")
    }

    private func conversation() throws -> AgentConversation? {
        var conversation = AgentConversation(agentID: "", externalID: nil)
        try apply(to: &conversation)
        return conversation.isEmpty ? nil : conversation
    }

    /// Changes what the body names.
    func apply(to conversation: inout AgentConversation) throws {
        try fields.text("agent_id").apply(to: &conversation.agentID, clearedBy: "")
        try fields.text("external_conv_id").apply(to: &conversation.externalID)
        try fields.bool("is_group").apply(to: &conversation.isGroup, clearedBy: false)
        try fields.text("group_name").apply(to: &conversation.groupName)
        try fields.text("participant_id").apply(to: &conversation.participantID)
        try fields.text("peer_agent_id").apply(to: &conversation.peerAgentID)
    }

    /// Refuses a change that names another session than its path does: ids stay what they are.
    func checkID(of session: Session) throws {
        for param in ["id", "session_id"] {
            guard let text = try fields.text(param).value else { continue }
            let isSame =
                SessionReference(text).id == session.key.session
                || session.externalID.map { $0.utf8.elementsEqual(text.utf8) } ?? false
            guard isSame else {
                throw GatewayError.badRequest(
                    "session_conflict", "“\(param)” is not the session's own, and cannot be changed.", param: param)
            }
        }
    }

    /// What the body says about the system messages.
    func system() throws -> SystemChange {
        switch try systemPrompt() {
        case .missing: .keep
        case .null: .clear
        case .value(let prompt): .set(SystemMessages(prompt: prompt))
        }
    }

    private func systemPrompt() throws -> Given<String> {
        let prompt = try fields.text("system_prompt")
        if prompt.value == "" { return .null }
        return prompt
    }

    /// Changes what the body names.
    func apply(to settings: inout SessionSettings) throws {
        try fields.text("title", "session_name", "name").apply(to: &settings.title, clearedBy: "")
        try fields.text("source_channel").apply(to: &settings.sourceChannel)
        try fields.text("provider").apply(to: &settings.provider)
        try fields.text("model", "model_name", "llm_model_name").apply(to: &settings.model)
        try fields.int("max_history_messages", in: 0...1_000_000).apply(to: &settings.maxHistory)
        try word("history_mode", of: HistoryMode.self).apply(to: &settings.historyMode)
        try word("truncation", of: Truncation.self).apply(to: &settings.truncation)
        try fields.object("metadata").apply(to: &settings.metadata)
        try fields.texts("metadata_tags", "tags").apply(to: &settings.tags, clearedBy: [])
        try fields.texts("rag_document_ids").apply(to: &settings.ragDocumentIDs, clearedBy: [])
        try fields.int("ttl", "ttl_seconds", in: 1...SessionSettings.maximumTTL).apply(to: &settings.ttlSeconds)
    }

    private func word<Word: RawRepresentable & CaseIterable>(
        _ name: String, of type: Word.Type
    ) throws -> Given<String> where Word.RawValue == String {
        let given = try fields.text(name)
        if let text = given.value, Word(rawValue: text) == nil {
            let known = Word.allCases.map(\.rawValue).joined(separator: ", ")
            throw GatewayError.badRequest("invalid_value", "“\(name)” is one of \(known).", param: name)
        }
        return given
    }
}

/// How a session's history is cut.
private enum Truncation: String, CaseIterable {
    case rolling, stable
}

extension SystemMessages {
    /// A system prompt as one message.
    init(prompt: String) {
        let message = JSONWriter.object { json in
            json.member("role", "system")
            json.member("content", prompt)
        }
        self.init(messages: [message])
    }
}
