import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// `GET /api/v1/history?session_id&chapter&limit&offset`: what was said in a session, or in a chapter of it.
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
        let names = try head.target.queryValues("session_id") + head.headers["X-Session-ID"]
        guard let name = names.first else { throw GatewayError(wire: .missing("session_id")) }
        let page = try PageRequest(head, defaultLimit: 100)
        var query = try MessageQuery(head, page)
        query.limit = page.limit
        let owned = try OwnedSessions(store, configuration, exchange)
        let session = try await owned.session(name, "session_id")
        let chapter = query.chapter
        let history = try await owned.messages(of: session, query, exchange) { found in
            JSONWriter.object { json in
                // As the client named it: that is what it compares.
                json.member("session_id", name)
                json.member("chapter", chapter)
                json.array("messages") { list in
                    for message in found.elements { list.element { Self.write(MessageObject(message), &$0) } }
                }
                json.member("total", found.total)
            }
        }
        return .json(history.json)
    }

    private static func write(_ message: MessageObject, _ json: inout JSONWriter) {
        json.member("id", Int(message.message.seq))
        json.member("role", message.role)
        json.member("content", json: message.content)
        json.member("citations", json: message.citations)
        json.member("created_at", ISOTime.text(message.message.createdAt))
    }
}
