import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// Search over the titles and messages of one user.
struct SearchRoutes: Sendable {
    let store: ConversationStore
    let configuration: SessionConfiguration
    let bodyLimit: Int

    private static let maximumLimit = 100
    private static let maximumQuery = 1_000

    var all: [Route] {
        SessionRoutes.atBothBases { base, suffix in
            [
                Route(.POST, base + "/search") { request, _, exchange in
                    let fields = try await request.read(upTo: bodyLimit) { try RequestFields($0) }
                    let text = try fields.text("query", "q").value
                    let limit = try fields.int("limit", in: 1...Self.maximumLimit).value
                    return try await search(text, limit, fields.text("cursor").value, exchange)
                }.described(SearchDescriptions.post(suffix)),
                Route(.GET, base + "/search") { request, _, exchange in
                    let head = request.head
                    let limit = try head.number("limit", in: 1...Self.maximumLimit)
                    return try await search(
                        head.queryItem("query") ?? head.queryItem("q"), limit, head.queryItem("cursor"), exchange)
                }.described(SearchDescriptions.get(suffix)),
            ]
        }
    }

    private func search(_ text: String?, _ limit: Int?, _ cursor: String?, _ exchange: Exchange) async throws
        -> Response
    {
        guard let text else { throw GatewayError(wire: .missing("query")) }
        guard !text.isEmpty, text.utf8.count <= Self.maximumQuery else {
            throw GatewayError.badRequest(
                "invalid_value", "“query” is a text of 1 to \(Self.maximumQuery) bytes.", param: "query")
        }
        let start = try cursor.map { text throws(GatewayError) in try SearchCursor(text) }
        let query = SearchQuery(text: text, limit: limit ?? 20, from: start)
        let owner = try OwnedSessions(store, configuration, exchange).owner
        return .json(Self.json(try await result(query, of: owner, exchange.clock)))
    }

    /// Goes on slice by slice until the page is full or the time is over.
    private func result(_ query: SearchQuery, of owner: UniqueID, _ clock: GatewayClock) async throws -> SearchResult {
        var whole = SearchResult()
        var query = query
        let limit = query.limit
        try await TimeSlices(clock, configuration.searchTime).run { isOver in
            let part = query
            let result = try await store.read { try $0.search(part, of: owner, until: isOver) }
            whole.hits += result.hits
            whole.next = result.next
            query.from = result.next
            query.limit = limit - whole.hits.count
            return whole.next == nil || whole.hits.count >= limit
        }
        return whole
    }

    private static func json(_ result: SearchResult) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("object", "chat.search")
            json.array("data") { data in
                for hit in result.hits { data.element { write(hit, &$0) } }
            }
            json.member("has_more", result.next != nil)
            json.member("next_cursor", result.next?.text)
        }
    }

    private static func write(_ hit: SearchHit, _ json: inout JSONWriter) {
        json.member("object", "chat.search.hit")
        json.member("session_id", hit.session.description(prefix: Session.idPrefix))
        json.member("title", hit.title.isEmpty ? SessionConfiguration.defaultTitle : hit.title)
        json.member("message_id", hit.seq.map { Int($0) })
        json.member("role", hit.role.map { "\($0)" })
        json.member("snippet", hit.snippet)
        json.member("created_at", hit.createdAt.seconds)
    }
}

extension SearchCursor {
    /// `<microseconds>_<session>_<seq>`, as `text` writes it; the seq is missing where the session was not begun.
    init(_ text: String) throws(GatewayError) {
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 3, let time = Int64(parts[0]), let id = UniqueID(String(parts[1])),
            parts[2].isEmpty || Int64(parts[2]) != nil
        else {
            throw .badRequest("invalid_cursor", "“cursor” is the next_cursor of an earlier answer.", param: "cursor")
        }
        self.init(lastMessageAt: Timestamp(microseconds: time), session: id, seq: Int64(parts[2]))
    }

    var text: String { "\(lastMessageAt.microseconds)_\(session)_\(seq.map { "\($0)" } ?? "")" }
}
