import Persistence

/// The tables of conversations. The owner stands first in every key.
enum ConversationMigrations {
    static let component = "conversations"

    static let all = [
        Migration(component, 1, "sessions, turns, messages") { type in
            [sessions(type), totals(type), systems(type), turns(type), messages(type)] + indexes(type)
        },
        Migration(component, 2, "media once per user, token counts by encoding, attempts") { type in
            // What stands behind `body` in a row of `messages` is read together with the body only, see `messages`.
            [
                type.addColumn("token_encoding \(type.integer) NULL", to: "messages"),
                type.addColumn("is_partial \(type.integer) NOT NULL DEFAULT 0", to: "messages"),
                type.addColumn("media \(type.bytes) NULL", to: "messages"),
                type.addColumn("attempt \(type.integer) NOT NULL DEFAULT 0", to: "turns"),
                type.addColumn("last_turn_key \(type.fixedBytes(32)) NULL", to: "sessions"), blobs(type),
                blobUses(type),
                "CREATE INDEX IF NOT EXISTS blob_uses_by_blob ON blob_uses (user_id, sha256)",
            ]
        },
    ]

    /// Inline images and files, once per user however many messages hold them.
    private static func blobs(_ type: Dialect) -> String {
        """
        CREATE TABLE IF NOT EXISTS blobs (
            user_id \(type.id) NOT NULL, sha256 \(type.fixedBytes(32)) NOT NULL, data \(type.bytes) NOT NULL,
            PRIMARY KEY (user_id, sha256)) \(type.bigRows)
        """
    }

    /// Which sessions hold a blob: the last one to be purged takes it along.
    private static func blobUses(_ type: Dialect) -> String {
        """
        CREATE TABLE IF NOT EXISTS blob_uses (
            user_id \(type.id) NOT NULL, session_id \(type.id) NOT NULL, sha256 \(type.fixedBytes(32)) NOT NULL,
            PRIMARY KEY (user_id, session_id, sha256)) \(type.clustered)
        """
    }

    private static func sessions(_ type: Dialect) -> String {
        """
        CREATE TABLE IF NOT EXISTS sessions (
            user_id \(type.id) NOT NULL, session_id \(type.id) NOT NULL,
            external_id \(type.text(255)) NULL,
            agent_id \(type.text(128)) NOT NULL DEFAULT '', external_conv_id \(type.text(255)) NULL,
            is_group \(type.integer) NOT NULL DEFAULT 0, group_name \(type.text(255)) NULL,
            participant_id \(type.text(255)) NULL, peer_agent_id \(type.text(128)) NULL,
            title \(type.text(200)) NOT NULL DEFAULT '', source_channel \(type.text(64)) NULL,
            provider \(type.text(128)) NULL, model \(type.text(255)) NULL, max_history \(type.integer) NULL,
            history_mode \(type.text(16)) NULL, truncation \(type.text(16)) NULL, metadata \(type.bytes) NULL,
            system_digest \(type.fixedBytes(32)) NULL,
            next_seq \(type.integer) NOT NULL DEFAULT 1, context_start_seq \(type.integer) NOT NULL DEFAULT 0,
            version \(type.integer) NOT NULL DEFAULT 1,
            last_turn_id \(type.id) NULL, last_turn_seq \(type.integer) NULL, last_turn_base \(type.integer) NULL,
            last_turn_digest \(type.fixedBytes(32)) NULL,
            message_count \(type.integer) NOT NULL DEFAULT 0, turn_count \(type.integer) NOT NULL DEFAULT 0,
            prompt_tokens \(type.integer) NOT NULL DEFAULT 0, completion_tokens \(type.integer) NOT NULL DEFAULT 0,
            created_us \(type.integer) NOT NULL, updated_us \(type.integer) NOT NULL,
            last_message_at \(type.integer) NOT NULL, deleted_us \(type.integer) NULL,
            PRIMARY KEY (user_id, session_id)) \(type.clustered)
        """
    }

    /// How many sessions a user has: counting 100,000 of them took 31 ms.
    private static func totals(_ type: Dialect) -> String {
        """
        CREATE TABLE IF NOT EXISTS session_totals (
            user_id \(type.id) NOT NULL PRIMARY KEY, active \(type.integer) NOT NULL) \(type.clustered)
        """
    }

    /// Beside `sessions`, because that row is rewritten by every turn and system prompts are long and rarely change.
    private static func systems(_ type: Dialect) -> String {
        """
        CREATE TABLE IF NOT EXISTS session_systems (
            user_id \(type.id) NOT NULL, session_id \(type.id) NOT NULL, body \(type.bytes) NOT NULL,
            PRIMARY KEY (user_id, session_id)) \(type.bigRows)
        """
    }

    private static func turns(_ type: Dialect) -> String {
        """
        CREATE TABLE IF NOT EXISTS turns (
            user_id \(type.id) NOT NULL, session_id \(type.id) NOT NULL, turn_id \(type.id) NOT NULL,
            first_seq \(type.integer) NOT NULL, message_count \(type.integer) NOT NULL, base_seq \(type.integer) NOT NULL,
            request_digest \(type.fixedBytes(32)) NOT NULL, status \(type.text(16)) NOT NULL,
            model \(type.text(255)) NOT NULL, provider \(type.text(128)) NOT NULL,
            prompt_tokens \(type.integer) NULL, completion_tokens \(type.integer) NULL,
            created_us \(type.integer) NOT NULL,
            PRIMARY KEY (user_id, session_id, turn_id)) \(type.clustered)
        """
    }

    /// The body stands last: SQLite then reads a row's other columns without walking its overflow pages.
    private static func messages(_ type: Dialect) -> String {
        """
        CREATE TABLE IF NOT EXISTS messages (
            user_id \(type.id) NOT NULL, session_id \(type.id) NOT NULL, seq \(type.integer) NOT NULL,
            turn_id \(type.id) NOT NULL, role \(type.integer) NOT NULL, digest \(type.fixedBytes(32)) NOT NULL,
            digest_version \(type.integer) NOT NULL, tokens \(type.integer) NULL, superseded_by_seq \(type.integer) NULL, created_us \(type.integer) NOT NULL,
            chapter \(type.text(200)) NULL, citations \(type.bytes) NULL, body \(type.bytes) NOT NULL,
            PRIMARY KEY (user_id, session_id, seq)) \(type.bigRows)
        """
    }

    private static func indexes(_ type: Dialect) -> [String] {
        [
            "CREATE INDEX IF NOT EXISTS sessions_by_time ON sessions (user_id, last_message_at)",
            "CREATE UNIQUE INDEX IF NOT EXISTS sessions_by_external_id ON sessions (user_id, external_id)",
            """
            CREATE UNIQUE INDEX IF NOT EXISTS sessions_by_conversation ON sessions (user_id, agent_id, external_conv_id)
            """,
        ]
    }
}
