import Conversations
import NIOCore
import OpenAIWire
import Persistence

/// Sessions and messages as the API shows them. Times are whole seconds since 1970, as OpenAI's are.
enum SessionObject {
    static func json(_ session: Session) -> ByteBuffer {
        let settings = session.settings
        return JSONWriter.object { json in
            json.member("id", session.printedID)
            json.member("session_id", session.printedID)
            json.member("object", "chat.session")
            json.member("external_id", session.externalID)
            json.member("title", settings.title)
            json.member("provider", settings.provider)
            json.member("model", settings.model)
            if let limit = settings.maxHistory { json.member("max_history_messages", limit) }
            json.member("history_mode", settings.historyMode)
            json.member("agent_id", session.conversation?.agentID)
            json.member("external_conv_id", session.conversation?.externalID)
            json.member("source_channel", settings.sourceChannel)
            json.member("is_group", session.conversation?.isGroup ?? false)
            json.member("group_name", session.conversation?.groupName)
            json.member("participant_id", session.conversation?.participantID)
            json.member("peer_agent_id", session.conversation?.peerAgentID)
            json.member("metadata", json: settings.metadata ?? ByteBuffer(string: "{}"))
            json.member("message_count", Int(session.counters.messages))
            json.member("turn_count", Int(session.counters.turns))
            json.member("created_at", session.createdAt.seconds)
            json.member("updated_at", session.updatedAt.seconds)
            json.member("last_message_at", session.lastMessageAt.seconds)
        }
    }

    static func json(_ message: StoredMessage, of session: Session) -> ByteBuffer {
        let body = try? JSONObject(scanning: message.body)
        return JSONWriter.object { json in
            json.member("id", Int(message.seq))
            json.member("object", "chat.session.message")
            json.member("session_id", session.printedID)
            json.member("role", body?["role"]?.string ?? "\(message.outline.role)")
            json.member("content", json: body?["content"]?.bytes ?? ByteBuffer(string: "null"))
            json.member("message", json: message.body)
            json.member("created_at", message.createdAt.seconds)
        }
    }

    static func list(_ elements: [ByteBuffer], total: Int, _ limit: Int, _ offset: Int) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("object", "list")
            json.array("data") { data in
                for element in elements { data.element(json: element) }
            }
            json.member("total", total)
            json.member("limit", limit)
            json.member("offset", offset)
            json.member("has_more", offset + elements.count < total)
        }
    }

    static func deleted(_ key: SessionKey) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("id", key.printedID)
            json.member("session_id", key.printedID)
            json.member("object", "chat.session.deleted")
            json.member("deleted", true)
        }
    }
}

extension Timestamp {
    var seconds: Int { Int(microseconds / 1_000_000) }
}
