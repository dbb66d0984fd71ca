import OpenAIWire
public import Persistence

/// A walk along a user's sessions for what no index knows: by agent, channel, tag, or text in the title.
///
/// It goes on in as many reads as its caller has time for, and each goes on where the last one stopped.
public struct SessionListWalk: Sendable {
    /// A full page goes on to be counted until so many sessions have been looked at.
    public static let counted = 1_000
    /// Sessions that are read at once.
    static let batch = 128

    private let query: SessionQuery
    private let counted: Int
    private let title: FoldedText?
    private var place: SessionCursor?
    private var elements: [Session] = []
    private var matches = 0
    private var looked = 0
    private var isAtEnd = false

    public init(_ query: SessionQuery) { self.init(query, counting: Self.counted) }

    init(_ query: SessionQuery, counting counted: Int) {
        self.query = query
        self.counted = counted
        title = query.filter.title.map(FoldedText.init)
        place = query.after
    }

    /// How many that fit come before the page.
    private var toSkip: Int { query.offset + (query.after?.skipped ?? 0) }

    /// Whether there is nothing more to find out.
    public var isOver: Bool { isAtEnd || (elements.count >= query.limit && looked >= counted) }

    /// What was found so far.
    public var page: SessionPage {
        SessionPage(
            elements: elements, total: isAtEnd && query.after == nil ? matches : nil,
            next: isAtEnd || elements.count >= query.limit ? nil : next)
    }

    /// With what is left of the offset.
    private var next: SessionCursor? {
        var next = place
        next?.skipped = max(0, toSkip - matches)
        return next
    }

    /// Looks at sessions until it is over or out of time. Every call gets somewhere.
    mutating func go(on reader: ConversationReader, of owner: UniqueID, until isOutOfTime: () -> Bool) throws {
        var sessions = reader.walk(of: owner, query.filter, after: place)
        while !isOver {
            guard let session = try sessions.next() else {
                isAtEnd = true
                return
            }
            look(at: session)
            if isOutOfTime() { return }
        }
    }

    private mutating func look(at session: Session) {
        place = SessionCursor(session)
        looked += 1
        guard isMeant(session) else { return }
        matches += 1
        if matches > toSkip, elements.count < query.limit { elements.append(session) }
    }

    private func isMeant(_ session: Session) -> Bool {
        let filter = query.filter
        if let agent = filter.agentID, !isSame(agent, session.conversation?.agentID ?? "") { return false }
        if let channel = filter.sourceChannel, !isSame(channel, session.settings.sourceChannel) { return false }
        if let tag = filter.tag, !session.settings.tags.contains(where: { isSame(tag, $0) }) { return false }
        return title?.isContained(in: session.settings.title) ?? true
    }

    /// By bytes, as the database compares.
    private func isSame(_ text: String, _ other: String?) -> Bool { ExactText(text) == other.map(ExactText.init) }
}

extension ConversationReader {
    /// Goes on with a walk.
    public func go(
        on walk: SessionListWalk, of owner: UniqueID, until isOutOfTime: () -> Bool
    ) throws -> SessionListWalk {
        var walk = walk
        try walk.go(on: self, of: owner, until: isOutOfTime)
        return walk
    }

    fileprivate func walk(
        of owner: UniqueID, _ filter: SessionFilter, after place: SessionCursor?
    ) -> NewestFirst<Session> {
        // What is deleted lies in one list.
        NewestFirst(
            after: place, includesGroups: filter.includesGroups && !filter.isDeleted,
            batch: SessionListWalk.batch, place: SessionCursor.init
        ) { groups, cursor, limit in
            let query = SessionQuery(limit: limit, after: cursor)
            let sql =
                filter.isDeleted
                ? ConversationSQL.deletedPage(of: owner, query)
                : ConversationSQL.page(of: owner, query, groups: groups, at: now)
            return try connection.rows(sql, SessionRow.session)
        }
    }
}
