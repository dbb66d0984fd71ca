import Persistence

/// What sessions got as a resource of their own, beside the conversations in them.
///
/// A component of its own, whose tables come after those of `ConversationMigrations`. New columns may be missing in an
/// insert: the previous release goes on writing without them.
enum SessionMigrations {
    static let component = "sessions"

    static let all = [
        Migration(component, 1, "tags, documents, expiry, feedback; what is listed") { type in
            columns(type) + [feedback(type), groups(type)] + indexes(type)
        },
        Migration(component, 2, "what a user's sessions add up to") { type in
            (SessionSums.migration + ChannelTotals.migration).map { $0(type) }
        },
    ]

    private static func columns(_ type: Dialect) -> [String] {
        [
            type.addColumn("metadata_tags \(type.longText) NULL", to: "sessions"),
            type.addColumn("rag_document_ids \(type.longText) NULL", to: "sessions"),
            type.addColumn("ttl_seconds \(type.integer) NULL", to: "sessions"),
            type.addColumn("expires_us \(type.integer) NULL", to: "sessions"),
            // The names that a deleted session had: free for others, and its own again when it comes back.
            type.addColumn("former_external_id \(type.text(255)) NULL", to: "sessions"),
            type.addColumn("former_conv_id \(type.text(255)) NULL", to: "sessions"),
            type.addColumn("active_groups \(type.integer) NOT NULL DEFAULT 0", to: "session_totals"),
            type.addColumn("model \(type.text(255)) NULL", to: "messages"),
            type.addColumn("status \(type.text(16)) NULL", to: "messages"),
            type.addColumn("metadata \(type.bytes) NULL", to: "messages"),
        ]
    }

    /// What a user thinks of a message; `seq` 0 stands for the session as a whole.
    private static func feedback(_ type: Dialect) -> String {
        """
        CREATE TABLE IF NOT EXISTS session_feedback (
            user_id \(type.id) NOT NULL, session_id \(type.id) NOT NULL, seq \(type.integer) NOT NULL,
            thumb \(type.integer) NULL, score_hundredths \(type.integer) NULL, comment \(type.longText) NULL,
            created_us \(type.integer) NOT NULL, updated_us \(type.integer) NOT NULL,
            PRIMARY KEY (user_id, session_id, seq)) \(type.clustered)
        """
    }

    private static func groups(_ type: Dialect) -> String {
        """
        UPDATE session_totals SET active_groups = (SELECT COUNT(*) FROM sessions
            WHERE sessions.user_id = session_totals.user_id AND deleted_us IS NULL AND is_group <> 0)
        """
    }

    /// A list reads what it shows and no more: neither deleted sessions nor, by default, groups lie in between.
    private static func indexes(_ type: Dialect) -> [String] {
        [
            """
            CREATE INDEX IF NOT EXISTS sessions_listed ON sessions (user_id, deleted_us, is_group, last_message_at)
            """,
            type.dropIndex("sessions_by_time", of: "sessions"),
            "CREATE INDEX IF NOT EXISTS sessions_expiring ON sessions (user_id, deleted_us, expires_us)",
            "CREATE INDEX IF NOT EXISTS sessions_expired ON sessions (expires_us)",
        ]
    }
}
