import Conversations
import NIOCore
import OpenAIWire
import Persistence

/// A stored message, and the parts of it that the dialects show.
struct MessageObject: Sendable {
    let message: StoredMessage
    private let body: JSONObject?

    init(_ message: StoredMessage) {
        self.message = message
        body = try? JSONObject(scanning: message.body)
    }

    var role: String { body?["role"]?.string ?? "\(message.outline.role)" }
    /// As it was sent: a string, an array of parts, or `null`.
    var content: ByteBuffer { body?["content"]?.bytes ?? ByteBuffer(string: "null") }
    /// A JSON array.
    var citations: ByteBuffer { message.citations ?? ByteBuffer(string: "[]") }
    /// A JSON object.
    var metadata: ByteBuffer { message.metadata ?? ByteBuffer(string: "{}") }
    var status: String { message.status ?? TurnStatus.complete.rawValue }

    /// The canonical form.
    func json(of session: SessionKey) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("id", Int(message.seq))
            json.member("sequence", Int(message.seq))
            json.member("object", "chat.session.message")
            json.member("session_id", session.printedID)
            json.member("turn_id", message.outline.turnID.uuidString)
            json.member("role", role)
            json.member("content", json: content)
            json.member("message", json: message.body)
            json.member("chapter", message.chapter)
            json.member("citations", json: citations)
            json.member("tokens", message.outline.tokens)
            json.member("model", message.model)
            json.member("status", status)
            json.member("metadata", json: metadata)
            json.member("created_at", message.createdAt.seconds)
        }
    }
}
