import Conversations
import NIOCore
import OpenAIWire
import Persistence

/// `/api/v1/chat/sessions`: `id` as UUID, `title`, `provider`, `model_name`; a session's `history` in order.
struct ChatSessionsDialect: SessionDialect {
    let path = "/api/v1/chat/sessions"
    let suffix = "ChatSession"
    let messagePaths = ["messages", "history"]

    func json(_ session: Session, title: String) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("id", session.key.session.uuidString)
            json.member("title", title)
            json.member("provider", session.settings.provider)
            json.member("model_name", session.settings.model)
            json.member("message_count", Int(session.counters.messages))
            json.member("created_at", ISOTime.text(session.createdAt))
            json.member("updated_at", ISOTime.text(session.updatedAt))
        }
    }

    func json(_ message: MessageObject, of session: SessionKey) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("id", Int(message.message.seq))
            json.member("session_id", session.session.uuidString)
            json.member("role", message.role)
            json.member("content", json: message.content)
            json.member("created_at", ISOTime.text(message.message.createdAt))
        }
    }
}

/// `/api/v1/sessions/`: `id` as UUID, `name`, `llm_model_name`, documents and tags; messages with a `timestamp`.
struct NamedSessionsDialect: SessionDialect {
    let path = "/api/v1/sessions"
    let suffix = "NamedSession"
    let messagePaths = ["messages"]

    func json(_ session: Session, title: String) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("id", session.key.session.uuidString)
            json.member("name", title)
            json.member("created_at", ISOTime.text(session.createdAt))
            json.member("last_updated_at", ISOTime.text(session.updatedAt))
            json.member("llm_model_name", session.settings.model)
            json.texts("rag_document_ids", session.settings.ragDocumentIDs)
            json.texts("metadata_tags", session.settings.tags)
        }
    }

    func json(_ message: MessageObject, of session: SessionKey) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("id", MessageUUID.text(message.message.seq, of: session))
            json.member("session_id", session.session.uuidString)
            json.member("timestamp", ISOTime.text(message.message.createdAt))
            json.member("role", message.role)
            json.member("content", json: message.content)
            json.member("metadata", json: message.metadata)
        }
    }
}

/// The UUID of a message for those who want one: the session's, with the message's number in its last bytes and version
/// 8 (RFC 9562: made by the application). It names the message for ever.
enum MessageUUID {
    static func text(_ seq: Int64, of session: SessionKey) -> String {
        var bytes = session.session.bytes
        bytes[6] = bytes[6] & 0x0F | 0x80
        for index in 0..<6 { bytes[15 - index] ^= UInt8(truncatingIfNeeded: seq >> Int64(8 * index)) }
        return UniqueID(bytes: bytes)?.uuidString ?? ""
    }
}
