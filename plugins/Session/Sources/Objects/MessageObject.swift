import Conversations
import NIOCore
import OpenAIWire
import Persistence

/// A stored message, and the parts of it that the dialects show.
struct MessageObject: Sendable {
    /// How many bytes it takes to show one byte of a message: it is shown whole and by its content, and both are copied
    /// once more into a list.
    static let copies = 4

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

    /// Messages in their canonical form, as a list that does not go on.
    static func list(_ messages: [StoredMessage], of session: SessionKey) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("object", "list")
            json.array("data") { data in
                for message in messages { data.element(json: MessageObject(message).json(of: session)) }
            }
        }
    }
}
