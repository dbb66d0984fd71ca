public import NIOCore
import OpenAIWire
public import Persistence

/// Search: a walk along one user's own sessions and messages, newest first.
///
/// There is no index over contents: one that all users share is slower for everybody, and tells by its timing what
/// others wrote. The owner comes first, so whoever has nothing costs nothing.
extension ConversationReader {
    /// Looks until the page is full, everything was seen, or `isOver` says that it was long enough.
    ///
    /// - Parameter isOver: Asked after each session and after every few messages.
    public func search(
        _ query: SearchQuery, of owner: UniqueID, until isOver: @escaping () -> Bool
    ) throws -> SearchResult {
        var walk = SearchWalk(query, isOver)
        var cursor = query.from
        while true {
            let sessions = try searched(of: owner, from: cursor)
            for session in sessions {
                let start = cursor?.session == session.id ? cursor?.seq : nil
                try look(at: session, of: owner, before: start, &walk)
                if walk.result.next != nil { return walk.result }
            }
            guard sessions.count == SearchedSession.batch, let last = sessions.last else { return walk.result }
            // Its messages have been seen: from seq 0 on there are none.
            cursor = SearchCursor(lastMessageAt: last.lastMessageAt, session: last.id, seq: 0)
        }
    }

    /// The next sessions, newest activity first.
    private func searched(of owner: UniqueID, from cursor: SearchCursor?) throws -> [SearchedSession] {
        let found = try [false, true].flatMap { groups in
            try connection.rows(
                ConversationSQL.searchedSessions(of: owner, from: cursor, groups: groups), SearchedSession.init)
        }
        return Array(
            found.sorted { ($1.lastMessageAt, $1.id) < ($0.lastMessageAt, $0.id) }.prefix(SearchedSession.batch))
    }

    private func look(
        at session: SearchedSession, of owner: UniqueID, before seq: Int64?, _ walk: inout SearchWalk
    ) throws {
        guard !expiry.hasEnded(SessionKey(owner: owner, session: session.id), by: session.expiresAt) else { return }
        if walk.isDone { return walk.stop(at: session, seq: seq) }
        if seq == nil { walk.look(atTitleOf: session) }
        if walk.isDone { return walk.stop(at: session, seq: session.nextSeq) }
        guard seq != 0 else { return }
        try look(atMessagesOf: session, of: owner, before: seq ?? session.nextSeq, &walk)
    }

    /// In batches that grow: what a server has begun to send must be received, and a search may stop at any of them.
    private func look(
        atMessagesOf session: SearchedSession, of owner: UniqueID, before seq: Int64, _ walk: inout SearchWalk
    ) throws {
        let key = SessionKey(owner: owner, session: session.id)
        var end = seq
        var rows = SearchWalk.messagesPerLook
        while true {
            var seen = 0
            try connection.forEach(ConversationSQL.searchedMessages(key, before: end, limit: rows)) { row in
                end = try row.value(0)
                try walk.look(at: row, of: session)
                seen += 1
                guard walk.isFull || (seen % SearchWalk.messagesPerLook == 0 && walk.isDone) else { return .next }
                walk.stop(at: session, seq: end)
                return .stop
            }
            guard seen == rows, walk.result.next == nil else { return }
            rows = min(2 * rows, SearchWalk.largestBatch)
        }
    }
}

/// A session on the way of a search.
struct SearchedSession {
    static let batch = 256

    var id: UniqueID
    var title: String
    var lastMessageAt: Timestamp
    var expiresAt: Timestamp?
    var nextSeq: Int64
    var createdAt: Timestamp

    init(_ row: borrowing Row) throws {
        id = try row.value(0)
        title = try row.value(1)
        lastMessageAt = try row.value(2)
        expiresAt = try row.optional(3)
        nextSeq = try row.value(4)
        createdAt = try row.value(5)
    }
}

/// What a search has found, and whether it goes on.
struct SearchWalk {
    static let messagesPerLook = 32
    /// Most messages that are asked for at once.
    static let largestBatch = 256

    private(set) var result = SearchResult()
    private let query: SearchQuery
    private let isOver: () -> Bool
    /// Every call gets somewhere, however little time it has.
    private var hasLooked = false

    init(_ query: SearchQuery, _ isOver: @escaping () -> Bool) {
        self.query = query
        self.isOver = isOver
    }

    var isFull: Bool { result.hits.count >= query.limit }
    var isDone: Bool { isFull || (hasLooked && isOver()) }

    mutating func stop(at session: SearchedSession, seq: Int64?) {
        result.next = SearchCursor(lastMessageAt: session.lastMessageAt, session: session.id, seq: seq)
    }

    mutating func look(atTitleOf session: SearchedSession) {
        hasLooked = true
        guard query.text.isContained(in: session.title) else { return }
        result.hits.append(
            SearchHit(
                session: session.id, title: session.title, snippet: session.title, createdAt: session.createdAt))
    }

    mutating func look(at row: borrowing Row, of session: SearchedSession) throws {
        hasLooked = true
        let body: ByteBuffer = try row.value(3)
        let text = MessageText.of(body)
        guard let place = query.text.range(in: text) else { return }
        result.hits.append(
            SearchHit(
                session: session.id, title: session.title, seq: try row.value(0),
                role: MessageRole(rawValue: try row.value(1)), snippet: Self.snippet(text, around: place),
                createdAt: try row.value(2)))
    }

    /// About 200 characters around a place.
    private static func snippet(_ text: String, around place: Double) -> String {
        guard text.count > 200 else { return text }
        let center = Int(Double(text.count) * place)
        let start = max(0, min(center - 80, text.count - 200))
        let part = text.dropFirst(start).prefix(200)
        return (start > 0 ? "…" : "") + part + (start + 200 < text.count ? "…" : "")
    }
}

/// What a person reads of a message: its text, without images and files.
public enum MessageText {
    /// The text of a message's JSON: the content, or its text parts line by line, or the refusal.
    public static func of(_ body: ByteBuffer) -> String {
        guard let object = try? JSONObject(scanning: body) else { return "" }
        guard let content = object.nonNull("content") else { return object["refusal"]?.string ?? "" }
        if let text = content.string { return text }
        guard let parts = try? content.array() else { return "" }
        return parts.compactMap { part in
            guard let part = (try? part.object()) ?? nil else { return nil }
            return part["text"]?.string ?? part["refusal"]?.string
        }.joined(separator: "\n")
    }
}
