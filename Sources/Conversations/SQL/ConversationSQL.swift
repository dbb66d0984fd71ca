import Persistence

/// The statements of conversations, for both dialects, in one place. Every one has the owner in its predicate.
enum ConversationSQL {
    // MARK: Sessions

    static func session(_ key: SessionKey) -> SQL {
        """
        SELECT \(raw: SessionRow.list) FROM sessions \
        WHERE user_id = \(key.owner) AND session_id = \(key.session) AND deleted_us IS NULL
        """
    }

    static func session(owner: UniqueID, externalID: String) -> SQL {
        """
        SELECT \(raw: SessionRow.list) FROM sessions \
        WHERE user_id = \(owner) AND external_id = \(externalID) AND deleted_us IS NULL
        """
    }

    static func session(owner: UniqueID, agentID: String, conversation: String) -> SQL {
        """
        SELECT \(raw: SessionRow.list) FROM sessions WHERE user_id = \(owner) AND agent_id = \(agentID) \
        AND external_conv_id = \(conversation) AND deleted_us IS NULL
        """
    }

    static func insert(_ draft: SessionDraft, at time: Timestamp, _ dialect: Dialect) -> SQL {
        SQL(
            raw: """
                INSERT INTO sessions (\(SessionRow.list)) VALUES (\(SQL.placeholders(SessionRow.columns.count))) \
                \(dialect.orIgnore("user_id"))
                """,
            values: SessionRow.values(draft, at: time))
    }

    /// Adds to the number of a user's sessions.
    static func count(_ change: Int, of owner: UniqueID, _ dialect: Dialect) -> SQL {
        """
        INSERT INTO session_totals (user_id, active) VALUES (\(owner), \(change)) \
        \(raw: dialect.orUpdate("user_id")) active = active + \(change)
        """
    }

    static func total(of owner: UniqueID) -> SQL { "SELECT active FROM session_totals WHERE user_id = \(owner)" }

    static func total(of owner: UniqueID, _ filter: SessionFilter) -> SQL {
        "SELECT COUNT(*) FROM sessions WHERE user_id = \(owner) AND deleted_us IS NULL" + condition(filter)
    }

    static func list(of owner: UniqueID, _ filter: SessionFilter, limit: Int, offset: Int) -> SQL {
        "SELECT \(raw: SessionRow.list) FROM sessions WHERE user_id = \(owner) AND deleted_us IS NULL"
            + condition(filter)
            + " ORDER BY last_message_at DESC, session_id DESC LIMIT \(limit) OFFSET \(offset)"
    }

    private static func condition(_ filter: SessionFilter) -> SQL {
        var sql: SQL = ""
        if let agent = filter.agentID { sql += " AND agent_id = \(agent)" }
        if let channel = filter.sourceChannel { sql += " AND source_channel = \(channel)" }
        return sql
    }

    static func update(_ key: SessionKey, _ settings: SessionSettings, at time: Timestamp) -> SQL {
        """
        UPDATE sessions SET title = \(settings.title), source_channel = \(settings.sourceChannel), \
        provider = \(settings.provider), model = \(settings.model), max_history = \(settings.maxHistory), \
        history_mode = \(settings.historyMode), truncation = \(settings.truncation), metadata = \(settings.metadata), \
        version = version + 1, updated_us = \(time) \
        WHERE user_id = \(key.owner) AND session_id = \(key.session) AND deleted_us IS NULL
        """
    }

    static func moveContextStart(_ key: SessionKey, to seq: Int64, from old: Int64) -> SQL {
        """
        UPDATE sessions SET context_start_seq = \(seq), version = version + 1 WHERE user_id = \(key.owner) \
        AND session_id = \(key.session) AND context_start_seq = \(old) AND deleted_us IS NULL
        """
    }

    /// The client's ids are given free: they name nothing from now on, or something new.
    static func delete(_ key: SessionKey, at time: Timestamp) -> SQL {
        """
        UPDATE sessions SET deleted_us = \(time), external_id = NULL, external_conv_id = NULL, version = version + 1 \
        WHERE user_id = \(key.owner) AND session_id = \(key.session) AND deleted_us IS NULL
        """
    }

    /// Whether the session is still active, with its row locked; no row: it does not exist.
    static func lockForPurge(_ key: SessionKey, _ dialect: Dialect) -> SQL {
        """
        SELECT CASE WHEN deleted_us IS NULL THEN 1 ELSE 0 END FROM sessions \
        WHERE user_id = \(key.owner) AND session_id = \(key.session) \(raw: dialect.forUpdate)
        """
    }

    static func purge(_ table: String, _ key: SessionKey) -> SQL {
        "DELETE FROM \(raw: table) WHERE user_id = \(key.owner) AND session_id = \(key.session)"
    }

    static func system(_ key: SessionKey) -> SQL {
        """
        SELECT session_systems.body, sessions.system_digest FROM sessions JOIN session_systems \
        ON session_systems.user_id = sessions.user_id AND session_systems.session_id = sessions.session_id \
        WHERE sessions.user_id = \(key.owner) AND sessions.session_id = \(key.session) AND sessions.deleted_us IS NULL
        """
    }
}
