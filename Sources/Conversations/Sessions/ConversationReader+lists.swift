import NIOCore
public import Persistence

/// Pages of sessions and messages, for the API.
extension ConversationReader {
    /// Sessions of `owner`, newest turn first. The total is a counter unless the list is filtered.
    public func sessions(
        of owner: UniqueID, _ filter: SessionFilter = SessionFilter(), limit: Int, offset: Int = 0
    ) throws -> Page<Session> {
        try sessions(of: owner, SessionQuery(filter, limit: limit, offset: offset))
    }

    /// A page of the sessions of `owner`, newest activity first.
    ///
    /// By agent, channel, tag or title it walks along all sessions of the user: with `SessionListWalk` that can be bounded.
    public func sessions(of owner: UniqueID, _ query: SessionQuery) throws -> Page<Session> {
        guard query.filter.isIndexed else {
            let page = try go(on: SessionListWalk(query, counting: .max), of: owner) { false }.page
            return Page(elements: page.elements, total: page.total ?? 0)
        }
        let filter = query.filter
        return Page(elements: try elements(of: owner, query), total: try total(of: owner, filter))
    }

    private func total(of owner: UniqueID, _ filter: SessionFilter) throws -> Int {
        if filter.isDeleted { return Int(max(0, try SessionSums.of(owner, connection).deleted)) }
        let total = ConversationSQL.total(of: owner, includesGroups: filter.includesGroups)
        return max(0, try connection.first(total) { try $0.value(0) } ?? 0)
    }

    private func elements(of owner: UniqueID, _ query: SessionQuery) throws -> [Session] {
        if query.filter.isDeleted {
            return try connection.rows(ConversationSQL.deletedPage(of: owner, query), SessionRow.session)
        }
        guard query.filter.includesGroups else {
            return try page(of: owner, query, groups: false)
        }
        guard query.offset == 0 else { return try elements(of: owner, behindOffsetOf: query) }
        // Two walks along the index: one as far as the page may reach, the other as far as it can still matter.
        var reach = query
        let own = try page(of: owner, reach, groups: false)
        if own.count == reach.limit { reach.notBefore = own.last?.lastMessageAt }
        let groups = try page(of: owner, reach, groups: true)
        let newestFirst = (own + groups).sorted { SessionCursor($1).isBehind(SessionCursor($0)) }
        return Array(newestFirst.prefix(query.limit))
    }

    private func page(of owner: UniqueID, _ query: SessionQuery, groups: Bool) throws -> [Session] {
        try connection.rows(ConversationSQL.page(of: owner, query, groups: groups, at: now), SessionRow.session)
    }

    /// What comes before the page is counted in the index, and neither loaded nor read twice. Callers expire first, so
    /// that what has expired is hardly ever among it.
    private func elements(of owner: UniqueID, behindOffsetOf query: SessionQuery) throws -> [Session] {
        let expired = ConversationSQL.expired(of: owner, at: now, limit: 1)
        let time = try connection.first(expired) { _ in now }
        var places = NewestFirst<SessionCursor>(
            after: query.after, includesGroups: true, batch: min(query.offset, 256), place: \.self
        ) { groups, cursor, limit in
            let sql = ConversationSQL.places(of: owner, after: cursor, groups: groups, limit: limit, at: time)
            return try connection.rows(sql) { row in
                SessionCursor(lastMessageAt: try row.value(0), session: try row.value(1))
            }
        }
        var page = query
        page.offset = 0
        for _ in 0..<query.offset {
            guard let place = try places.next() else { return [] }
            page.after = place
        }
        return try elements(of: owner, page)
    }

    /// A page of messages: shorter than asked for where it would exceed the query's bytes, but never empty for that
    /// reason.
    public func messages(of key: SessionKey, _ query: MessageQuery) throws -> Page<StoredMessage> {
        var query = query
        query.limit = max(0, query.limit)
        query.offset = max(0, query.offset)
        var page = Page<StoredMessage>(elements: [], total: 0)
        if query.countsTotal {
            page.total = try connection.first(ConversationSQL.total(key, query)) { try $0.value(0) } ?? 0
        }
        try read(query, of: key, into: &page)
        return page
    }

    private func read(_ query: MessageQuery, of key: SessionKey, into page: inout Page<StoredMessage>) throws {
        var rows: [BlobStore.Detached] = []
        var bytes = 0
        try connection.forEach(ConversationSQL.messages(key, query)) { row in
            bytes += try row.withBytes(ConversationSQL.bodyColumn) { $0.count }
            page.isCut = bytes > query.maximumBytes && !rows.isEmpty
            if page.isCut { return .stop }
            rows.append(try detached(row))
            return .next
        }
        // Only now their media are known, and other statements may run.
        bytes = 0
        for row in rows {
            guard let message = try attached([row], of: key).first else { continue }
            bytes += message.body.readableBytes
            if bytes > query.maximumBytes, !page.elements.isEmpty {
                page.isCut = true
                break
            }
            page.elements.append(message)
        }
    }
}
