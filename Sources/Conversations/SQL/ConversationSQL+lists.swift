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

    /// The same for many users, with the rows of `addition`.
    static func addTotals(_ dialect: Dialect) -> BulkStatement {
        dialect == .sqlite ? addTotalsInSQLite : addTotalsInMariaDB
    }

    private static let addTotalsInSQLite = makeAddTotals(.sqlite)
    private static let addTotalsInMariaDB = makeAddTotals(.mariadb)

    private static func makeAddTotals(_ dialect: Dialect) -> BulkStatement {
        BulkStatement(
            """
            INSERT INTO session_totals (user_id, active, active_groups) VALUES (?, ?, ?) \
            \(dialect.orUpdate("user_id")) active = active + ?, active_groups = active_groups + ?
            """)
    }

    static func addition(_ change: Int, to owner: UniqueID, isGroup: Bool) -> [SQLValue] {
        let (sessions, groups) = (SQLValue.integer(Int64(change)), SQLValue.integer(isGroup ? Int64(change) : 0))
        return [.id(owner), sessions, groups, sessions, groups]
    }

    /// A session of the user that becomes a group session (1), or its own chat (-1).
    static func countGroup(_ change: Int, of owner: UniqueID) -> SQL {
        "UPDATE session_totals SET active_groups = active_groups + \(change) WHERE user_id = \(owner)"
    }

    /// A session in any state, condemned ones too.
    static func anySession(of owner: UniqueID) -> SQL { "SELECT 1 FROM sessions WHERE user_id = \(owner) LIMIT 1" }

    static func lockTotal(of owner: UniqueID, _ dialect: Dialect) -> SQL {
        "SELECT active FROM session_totals WHERE user_id = \(owner) \(raw: dialect.forUpdate)"
    }

    static func total(of owner: UniqueID, includesGroups: Bool) -> SQL {
        let number = includesGroups ? "active" : "active - active_groups"
        return "SELECT \(raw: number) FROM session_totals WHERE user_id = \(owner)"
    }

    /// A page, newest activity first: of the user's own chats or of groups, one walk along the index.
    /// What has expired by `now` is not in it.
    static func page(of owner: UniqueID, _ query: SessionQuery, groups: Bool, at now: Timestamp) -> SQL {
        let rows = "SELECT \(raw: SessionRow.list)\(sql: listed(of: owner, query.after, groups: groups))" as SQL
        let start: SQL = query.notBefore.map { " AND last_message_at >= \($0)" } ?? ""
        return rows + unexpired(at: now) + start + newestFirst + " LIMIT \(query.limit) OFFSET \(query.offset)"
    }

    /// The places of sessions in such a list.
    ///
    /// - Parameter now: Nil where nothing has expired: then they come from the index alone.
    static func places(
        of owner: UniqueID, after cursor: SessionCursor?, groups: Bool, limit: Int, at now: Timestamp?
    ) -> SQL {
        let places = "SELECT last_message_at, session_id\(sql: listed(of: owner, cursor, groups: groups))" as SQL
        return places + (now.map(unexpired) ?? "") + newestFirst + " LIMIT \(limit)"
    }

    /// As an expression, so that no index over the expiry is taken for it: a list is read in its own order.
    private static func unexpired(at now: Timestamp) -> SQL { " AND COALESCE(expires_us, \(Int64.max)) > \(now)" }

    /// What is deleted, whatever it is, and can be restored: what was deleted last stands first. Among those of one
    /// moment the order is that of the index along which it walks.
    static func deletedPage(of owner: UniqueID, _ query: SessionQuery) -> SQL {
        """
        SELECT \(raw: SessionRow.list) FROM sessions WHERE user_id = \(owner) \
        AND deleted_us > \(SessionRemoval.condemned)\(sql: behindDeleted(query.after)) \
        ORDER BY deleted_us DESC, is_group DESC, last_message_at DESC, session_id DESC \
        LIMIT \(query.limit) OFFSET \(query.offset)
        """
    }

    private static func behindDeleted(_ cursor: SessionCursor?) -> SQL {
        guard let cursor, let deletion = cursor.deletion else { return "" }
        let groups = Int64(deletion.isGroup ? 1 : 0)
        return """
             AND deleted_us <= \(deletion.at) AND (deleted_us < \(deletion.at) OR is_group < \(groups) \
            OR (is_group = \(groups) AND (last_message_at < \(cursor.lastMessageAt) \
            OR (last_message_at = \(cursor.lastMessageAt) AND session_id < \(cursor.session)))))
            """
    }

    private static let newestFirst: SQL = " ORDER BY last_message_at DESC, session_id DESC"

    private static func listed(of owner: UniqueID, _ cursor: SessionCursor?, groups: Bool) -> SQL {
        " FROM sessions WHERE user_id = \(owner) AND deleted_us IS NULL AND is_group = \(groups)\(sql: behind(cursor))"
    }

    private static func behind(_ cursor: SessionCursor?) -> SQL {
        guard let cursor else { return "" }
        return """
             AND last_message_at <= \(cursor.lastMessageAt) \
            AND (last_message_at < \(cursor.lastMessageAt) OR session_id < \(cursor.session))
            """
    }
}
