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
    /// A text in the title and a tag are looked for in every session of the user: a page of such a list costs a walk.
    public func sessions(of owner: UniqueID, _ query: SessionQuery) throws -> Page<Session> {
        guard query.filter.isPlain else { return try filtered(of: owner, query) }
        let filter = query.filter
        let total =
            filter.isCounted
            ? ConversationSQL.total(of: owner, includesGroups: filter.includesGroups)
            : ConversationSQL.total(of: owner, filter)
        return Page(
            elements: try elements(of: owner, query).filter { !$0.isExpired(at: now) || filter.isDeleted },
            total: max(0, try connection.first(total) { try $0.value(0) } ?? 0))
    }

    private func elements(of owner: UniqueID, _ query: SessionQuery) throws -> [Session] {
        if query.filter.isDeleted {
            return try connection.rows(ConversationSQL.deletedPage(of: owner, query), SessionRow.session)
        }
        guard query.filter.includesGroups else {
            return try connection.rows(ConversationSQL.page(of: owner, query, groups: false), SessionRow.session)
        }
        // Two walks along the index: one as far as the page may reach, the other as far as it can still matter.
        var reach = query
        reach.limit += reach.offset
        reach.offset = 0
        let own = try connection.rows(ConversationSQL.page(of: owner, reach, groups: false), SessionRow.session)
        if own.count == reach.limit { reach.notBefore = own.last?.lastMessageAt }
        let groups = try connection.rows(ConversationSQL.page(of: owner, reach, groups: true), SessionRow.session)
        let newestFirst = (own + groups).sorted { SessionCursor($1).isBehind(SessionCursor($0)) }
        return Array(newestFirst.dropFirst(query.offset).prefix(query.limit))
    }

    private func filtered(of owner: UniqueID, _ query: SessionQuery) throws -> Page<Session> {
        let title = query.filter.title.map(FoldedText.init)
        var page = Page<Session>(elements: [], total: 0)
        var whole = query
        whole.after = nil
        var skipped = 0
        try connection.forEach(ConversationSQL.all(of: owner, whole)) { row in
            let session = try SessionRow.session(row)
            guard !session.isExpired(at: now) || query.filter.isDeleted else { return .next }
            if let tag = query.filter.tag, !session.settings.tags.contains(tag) { return .next }
            if let title, !title.isContained(in: session.settings.title) { return .next }
            page.total += 1
            if let cursor = query.after, !SessionCursor(session).isBehind(cursor) { return .next }
            skipped += 1
            if skipped > query.offset, page.elements.count < query.limit { page.elements.append(session) }
            return .next
        }
        return page
    }

    /// A page of messages: shorter than asked for where it would exceed the query's bytes, but never empty for that
    /// reason.
    public func messages(of key: SessionKey, _ query: MessageQuery) throws -> Page<StoredMessage> {
        var query = query
        query.limit = max(0, query.limit)
        query.offset = max(0, query.offset)
        var page = Page<StoredMessage>(
            elements: [], total: try connection.first(ConversationSQL.total(key, query)) { try $0.value(0) } ?? 0)
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

extension SessionCursor {
    /// Whether this place comes later in a list than `other`.
    fileprivate func isBehind(_ other: SessionCursor) -> Bool {
        (lastMessageAt, session) < (other.lastMessageAt, other.session)
    }
}
