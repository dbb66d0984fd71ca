import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// `GET /api/v1/history?session_id&chapter&limit&offset`: what was said in a session, or in a chapter of it. The session
/// may be named by `X-Session-ID`, as on chat requests.
struct HistoryDialect: Sendable {
    let store: ConversationStore
    let configuration: SessionConfiguration

    var all: [Route] {
        [
            Route(.GET, "/api/v1/history") { request, _, exchange in try await history(request.head, exchange) }
                .described(DialectDescriptions.history)
        ]
    }

    private func history(_ head: RequestHead, _ exchange: Exchange) async throws -> Response {
        // As the client named it: that is what it compares.
        guard let name = try SessionSelection.name(head)?.text else { throw GatewayError(wire: .missing("session_id")) }
        let limit = try PageRequest(head, defaultLimit: DialectDescriptions.historyLimit).limit
        let query = try MessageQuery(head)
        let owned = try OwnedSessions(store, configuration, exchange)
        let form = MessageListForm.object("messages") { json in
            json.member("session_id", name)
            json.member("chapter", query.chapter)
        } message: { message, _ in
            JSONWriter.object { Self.write(message, &$0) }
        } behind: { end, json in
            json.member("total", end.total)
        }
        return try await owned.messages(of: owned.session(name, "session_id"), query, limit: limit, form, exchange)
    }

    private static func write(_ message: MessageObject, _ json: inout JSONWriter) {
        json.member("id", Int(message.message.seq))
        json.member("role", message.role)
        json.member("content", json: message.content)
        json.member("citations", json: message.citations)
        json.member("created_at", ISOTime.text(message.message.createdAt))
    }
}
