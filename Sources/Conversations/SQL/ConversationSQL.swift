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
            raw: dialect == .sqlite ? insertInSQLite : insertInMariaDB, values: SessionRow.values(draft, at: time))
    }

    // Made once: putting thirty-eight places together took more than the rest of making a session.
    private static let insertInSQLite = insertion(.sqlite)
    private static let insertInMariaDB = insertion(.mariadb)

    /// Without looking whether they are there.
    static let insertSessions = BulkStatement(insertInto: "sessions", SessionRow.columns)

    private static func insertion(_ dialect: Dialect) -> String {
        """
        INSERT INTO sessions (\(SessionRow.list)) VALUES (\(SQL.placeholders(SessionRow.columns.count))) \
        \(dialect.orIgnore("user_id"))
        """
    }

    /// - Parameter conversation: Nil: it stays what it is, and the indexes over it are left alone.
    static func update(
        _ key: SessionKey, _ settings: SessionSettings, _ conversation: AgentConversation?, at time: Timestamp
    ) -> SQL {
        let names: SQL = conversation.map(names) ?? ""
        return """
            UPDATE sessions SET title = \(settings.title), source_channel = \(settings.sourceChannel), \
            provider = \(settings.provider), model = \(settings.model), max_history = \(settings.maxHistory), \
            history_mode = \(settings.historyMode), truncation = \(settings.truncation), metadata = \(settings.metadata), \
            metadata_tags = \(settings.tags.stored), rag_document_ids = \(settings.ragDocumentIDs.stored), \
            ttl_seconds = \(settings.ttlSeconds), expires_us = \(settings.expiry(after: time)), \(sql: names)\
            version = version + 1, updated_us = \(time) \
            WHERE user_id = \(key.owner) AND session_id = \(key.session) AND deleted_us IS NULL
            """
    }

    private static func names(_ conversation: AgentConversation) -> SQL {
        """
        agent_id = \(conversation.agentID), external_conv_id = \(conversation.externalID), \
        is_group = \(conversation.isGroup), group_name = \(conversation.groupName), \
        participant_id = \(conversation.participantID), peer_agent_id = \(conversation.peerAgentID),\u{20}
        """
    }

    static func system(_ key: SessionKey) -> SQL {
        """
        SELECT session_systems.body, sessions.system_digest FROM sessions JOIN session_systems \
        ON session_systems.user_id = sessions.user_id AND session_systems.session_id = sessions.session_id \
        WHERE sessions.user_id = \(key.owner) AND sessions.session_id = \(key.session) AND sessions.deleted_us IS NULL
        """
    }
}
