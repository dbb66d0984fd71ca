import Conversations
import NIOCore
import OpenAIWire
import Persistence

/// Sessions as the canonical API shows them. Times are whole seconds since 1970, as OpenAI's are.
struct SessionObject: Sendable {
    /// What an untitled session is called.
    let defaultTitle: String

    /// - Parameter systemPrompt: `nil` leaves it out, as lists do; a session without one has an empty one.
    func json(_ session: Session, systemPrompt: String? = nil) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("id", session.printedID)
            json.member("session_id", session.printedID)
            json.member("object", "chat.session")
            json.member("owner", "\(session.key.owner)")
            json.member("external_id", session.externalID)
            for name in ["title", "session_name", "name"] { json.member(name, title(session)) }
            write(session.settings, &json)
            if let systemPrompt { json.member("system_prompt", systemPrompt.isEmpty ? nil : systemPrompt) }
            write(session.conversation, &json)
            write(session.counters, &json)
            json.member("is_active", session.deletedAt == nil)
            json.member("expires_at", session.expiresAt)
            json.member("deleted_at", session.deletedAt)
            json.member("created_at", session.createdAt.seconds)
            json.member("updated_at", session.updatedAt.seconds)
            json.member("last_message_at", session.lastMessageAt.seconds)
        }
    }

    func title(_ session: Session) -> String {
        session.settings.title.isEmpty ? defaultTitle : session.settings.title
    }

    private func write(_ settings: SessionSettings, _ json: inout JSONWriter) {
        json.member("provider", settings.provider)
        json.member("model", settings.model)
        json.member("max_history_messages", settings.maxHistory)
        json.member("history_mode", settings.historyMode)
        json.member("truncation", settings.truncation)
        json.member("source_channel", settings.sourceChannel)
        json.member("metadata", json: settings.metadata ?? ByteBuffer(string: "{}"))
        json.texts("metadata_tags", settings.tags)
        json.texts("rag_document_ids", settings.ragDocumentIDs)
        json.member("ttl", settings.ttlSeconds)
    }

    private func write(_ conversation: AgentConversation?, _ json: inout JSONWriter) {
        let agent = conversation?.agentID ?? ""
        json.member("agent_id", agent.isEmpty ? nil : agent)
        json.member("external_conv_id", conversation?.externalID)
        json.member("is_group", conversation?.isGroup ?? false)
        json.member("group_name", conversation?.groupName)
        json.member("participant_id", conversation?.participantID)
        json.member("peer_agent_id", conversation?.peerAgentID)
    }

    private func write(_ counters: SessionCounters, _ json: inout JSONWriter) {
        json.member("message_count", Int(counters.messages))
        json.member("turn_count", Int(counters.turns))
        json.member("prompt_tokens", Int(counters.promptTokens))
        json.member("completion_tokens", Int(counters.completionTokens))
    }

    func list(_ elements: [ByteBuffer], total: Int?, _ page: PageRequest, next: String?, hasMore: Bool) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("object", "list")
            json.array("data") { data in
                for element in elements { data.element(json: element) }
            }
            json.member("total", total)
            json.member("limit", page.limit)
            json.member("offset", page.offset)
            json.member("has_more", hasMore)
            json.member("next_cursor", hasMore ? next : nil)
        }
    }

    static func deleted(_ key: SessionKey, isPurged: Bool) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("id", key.printedID)
            json.member("session_id", key.printedID)
            json.member("object", "chat.session.deleted")
            json.member("deleted", true)
            json.member("purged", isPurged)
        }
    }
}

extension Timestamp {
    var seconds: Int { Int(microseconds / 1_000_000) }
}

extension JSONWriter {
    /// A number member, or `null`.
    mutating func member(_ key: String, _ value: Int?) {
        if let value { member(key, value) } else { null(key) }
    }

    /// A time in seconds, or `null`.
    mutating func member(_ key: String, _ value: Timestamp?) { member(key, value?.seconds) }

    mutating func texts(_ key: String, _ texts: [String]) {
        array(key) { list in for text in texts { list.element(text) } }
    }
}
