import Persistence

/// What a search walks along: a user's sessions, newest activity first, and the messages of each.
extension ConversationSQL {
    /// - Parameter groups: Group sessions or the others: each kind lies in order along the index, and not both.
    static func searchedSessions(of owner: UniqueID, from cursor: SearchCursor?, groups: Bool) -> SQL {
        var sql: SQL = """
            SELECT session_id, title, last_message_at, expires_us, next_seq, created_us FROM sessions \
            WHERE user_id = \(owner) AND deleted_us IS NULL AND is_group = \(groups)
            """
        if let cursor {
            sql += """
                 AND last_message_at <= \(cursor.lastMessageAt) \
                AND (last_message_at < \(cursor.lastMessageAt) OR session_id <= \(cursor.session))
                """
        }
        return sql + " ORDER BY last_message_at DESC, session_id DESC LIMIT \(SearchedSession.batch)"
    }

    static func searchedMessages(_ key: SessionKey, before seq: Int64, limit: Int) -> SQL {
        """
        SELECT seq, role, created_us, body \(sql: ofSession(key)) AND seq < \(seq) AND superseded_by_seq IS NULL \
        ORDER BY seq DESC LIMIT \(limit)
        """
    }
}
