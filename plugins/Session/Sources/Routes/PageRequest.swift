import Conversations
import NIOHTTP1
import Persistence
import TurnpikeKit

/// Which page of a list a request asks for.
struct PageRequest: Sendable {
    /// Most elements of a page.
    static let maximumLimit = 1_000

    var limit: Int
    var offset: Int

    init(_ head: RequestHead, defaultLimit: Int = 50) throws(GatewayError) {
        limit = try Self.limit(head) ?? defaultLimit
        offset = try head.number("offset", default: 0, in: 0...Int(Int32.max))
    }

    /// The limit that a request names.
    static func limit(_ head: RequestHead) throws(GatewayError) -> Int? {
        try head.number("limit", in: 1...maximumLimit)
    }
}

extension SessionQuery {
    /// The list that a request asks for. One more than the page shows, which tells whether there are more.
    init(_ head: RequestHead, _ page: PageRequest) throws(GatewayError) {
        var filter = SessionFilter(
            agentID: head.queryItem("agent_id"),
            sourceChannel: head.queryItem("source_channel") ?? head.queryItem("channel"),
            includesGroups: try head.word("scope", default: ListScope.own) == .all)
        filter.tag = head.queryItem("tag")
        filter.title = head.queryItem("title") ?? head.queryItem("q")
        if filter.title == "" { filter.title = nil }
        filter.isDeleted = try head.flag("deleted")
        if filter.isDeleted { filter.includesGroups = true }
        let cursor = try head.queryItem("cursor").map { text throws(GatewayError) in try SessionCursor(text) }
        // A cursor of another list leads nowhere in this one.
        if let cursor, (cursor.deletion != nil) != filter.isDeleted { throw SessionCursor.invalid }
        self.init(filter, limit: page.limit + 1, offset: page.offset, after: cursor)
    }
}

/// Which sessions a list shows.
enum ListScope: String, CaseIterable {
    /// The user's own chats.
    case own
    /// Group sessions too.
    case all
}

extension SessionPage {
    /// Where the list goes on behind the first `count` elements; nil at its end.
    func next(showing count: Int) -> SessionCursor? {
        guard elements.count > count else { return next }
        return elements.prefix(count).last.map(SessionCursor.init)
    }
}

extension SessionCursor {
    static let invalid = GatewayError.badRequest(
        "invalid_cursor", "“cursor” is the next_cursor of an earlier answer.", param: "cursor")

    /// `<microseconds>_<id>` or `<microseconds>_<id>_<skipped>`, and behind that, in a list of deleted sessions,
    /// `_<microseconds>_<0 or 1>`: as `text` writes it.
    init(_ text: String) throws(GatewayError) {
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        guard [2, 3, 5].contains(parts.count), let time = Int64(parts[0]), let id = UniqueID(String(parts[1])),
            let skipped = parts.count == 2 ? 0 : Int32(parts[2]), skipped >= 0
        else { throw Self.invalid }
        self.init(lastMessageAt: Timestamp(microseconds: time), session: id, skipped: Int(skipped))
        guard parts.count == 5 else { return }
        guard let deleted = Int64(parts[3]), parts[4] == "0" || parts[4] == "1" else { throw Self.invalid }
        deletion = Deletion(at: Timestamp(microseconds: deleted), isGroup: parts[4] == "1")
    }

    var text: String {
        let place = "\(lastMessageAt.microseconds)_\(session)"
        guard let deletion else { return place + (skipped > 0 ? "_\(skipped)" : "") }
        return "\(place)_\(skipped)_\(deletion.at.microseconds)_\(deletion.isGroup ? 1 : 0)"
    }
}

extension MessageQuery {
    /// The messages that a request asks for, but for their number.
    init(_ head: RequestHead) throws(GatewayError) {
        self.init(offset: try PageRequest(head).offset)
        order = try head.word("order", default: MessageOrderWord.asc) == .asc ? .oldestFirst : .newestFirst
        chapter = head.queryItem("chapter")
        after = try head.number("cursor", in: 0...Int.max).map { Int64($0) }
    }
}

enum MessageOrderWord: String, CaseIterable {
    case asc, desc
}
