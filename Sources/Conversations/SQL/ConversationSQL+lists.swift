import Persistence

/// Lists of sessions, and how many there are.
extension ConversationSQL {
    /// Adds to the number of a user's sessions.
    static func count(_ change: Int, of owner: UniqueID, isGroup: Bool, _ dialect: Dialect) -> SQL {
        let groups = isGroup ? change : 0
        return """
            INSERT INTO session_totals (user_id, active, active_groups) VALUES (\(owner), \(change), \(groups)) \
            \(raw: dialect.orUpdate("user_id")) active = active + \(change), active_groups = active_groups + \(groups)
            """
    }

    static func lockTotal(of owner: UniqueID, _ dialect: Dialect) -> SQL {
        "SELECT active FROM session_totals WHERE user_id = \(owner) \(raw: dialect.forUpdate)"
    }

    static func total(of owner: UniqueID, includesGroups: Bool) -> SQL {
        let number = includesGroups ? "active" : "active - active_groups"
        return "SELECT \(raw: number) FROM session_totals WHERE user_id = \(owner)"
    }

    /// As far as the database can tell.
    static func total(of owner: UniqueID, _ filter: SessionFilter) -> SQL {
        "SELECT COUNT(*) FROM sessions WHERE user_id = \(owner)" + condition(filter)
    }

    /// A page, newest activity first: of the user's own chats or of groups, one walk along the index.
    static func page(of owner: UniqueID, _ query: SessionQuery, groups: Bool) -> SQL {
        "\(sql: selection(of: owner, query)) AND is_group = \(groups)\(sql: newestFirst) LIMIT \(query.limit) OFFSET \(query.offset)"
    }

    /// Without the page's bounds, for a filter that the database cannot apply; and whatever is deleted.
    static func all(of owner: UniqueID, _ query: SessionQuery) -> SQL {
        selection(of: owner, query) + (query.filter.includesGroups ? "" : " AND is_group = 0") + newestFirst
    }

    static func deletedPage(of owner: UniqueID, _ query: SessionQuery) -> SQL {
        "\(sql: all(of: owner, query)) LIMIT \(query.limit) OFFSET \(query.offset)"
    }

    private static let newestFirst: SQL = " ORDER BY last_message_at DESC, session_id DESC"

    private static func selection(of owner: UniqueID, _ query: SessionQuery) -> SQL {
        var sql: SQL = "SELECT \(raw: SessionRow.list) FROM sessions WHERE user_id = \(owner)"
        sql += condition(query.filter)
        if let start = query.notBefore { sql += " AND last_message_at >= \(start)" }
        guard let cursor = query.after else { return sql }
        return sql + """
             AND last_message_at <= \(cursor.lastMessageAt) \
            AND (last_message_at < \(cursor.lastMessageAt) OR session_id < \(cursor.session))
            """
    }

    private static func condition(_ filter: SessionFilter) -> SQL {
        var sql: SQL = filter.isDeleted ? " AND deleted_us IS NOT NULL" : " AND deleted_us IS NULL"
        if let agent = filter.agentID { sql += " AND agent_id = \(agent)" }
        if let channel = filter.sourceChannel { sql += " AND source_channel = \(channel)" }
        return sql
    }
}
