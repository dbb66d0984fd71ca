import Persistence

/// Deleting, restoring, expiring and purging.
extension ConversationSQL {
    /// The client's ids are given free: they name nothing from now on, or something new.
    static func delete(_ key: SessionKey, at time: Timestamp) -> SQL {
        """
        UPDATE sessions SET deleted_us = \(time), former_external_id = external_id, \
        former_conv_id = external_conv_id, external_id = NULL, external_conv_id = NULL, version = version + 1 \
        WHERE user_id = \(key.owner) AND session_id = \(key.session) AND deleted_us IS NULL
        """
    }

    /// Marks a session whose rows are going, and gives its ids free.
    static func condemn(_ key: SessionKey) -> SQL {
        """
        UPDATE sessions SET deleted_us = \(SessionRemoval.condemned), external_id = NULL, external_conv_id = NULL, \
        version = version + 1 WHERE user_id = \(key.owner) AND session_id = \(key.session)
        """
    }

    /// A session's row, deleted or not, locked: what it was called and what it was counted with.
    static func lockForRemoval(_ key: SessionKey, _ dialect: Dialect) -> SQL {
        """
        SELECT deleted_us, is_group, former_external_id, agent_id, former_conv_id, source_channel, next_seq, \
        message_count, turn_count, prompt_tokens, completion_tokens FROM sessions WHERE user_id = \(key.owner) AND session_id = \(key.session) \(raw: dialect.forUpdate)
        """
    }

    static func restore(_ key: SessionKey, _ names: FormerNames, at time: Timestamp) -> SQL {
        """
        UPDATE sessions SET deleted_us = NULL, external_id = \(names.externalID), \
        external_conv_id = \(names.conversation), former_external_id = NULL, former_conv_id = NULL, \
        expires_us = CASE WHEN ttl_seconds IS NULL THEN NULL ELSE \(time) + ttl_seconds * 1000000 END, \
        version = version + 1, updated_us = \(time) \
        WHERE user_id = \(key.owner) AND session_id = \(key.session) AND deleted_us IS NOT NULL
        """
    }

    /// Sessions of a user whose time is over and that were not deleted yet; in the order of the index, so that no other
    /// one is taken for the order's sake.
    static func expired(of owner: UniqueID, at time: Timestamp, limit: Int) -> SQL {
        """
        SELECT session_id FROM sessions WHERE user_id = \(owner) AND deleted_us IS NULL AND expires_us <= \(time) \
        ORDER BY expires_us LIMIT \(limit)
        """
    }

    static func purge(_ table: String, _ key: SessionKey) -> SQL {
        "DELETE FROM \(raw: table) WHERE user_id = \(key.owner) AND session_id = \(key.session)"
    }

    /// The first row behind a piece of a table: where the next one begins. At the end of the rows it is none.
    static func endOfPiece(of table: String, by column: String, _ key: SessionKey) -> SQL {
        """
        SELECT \(raw: column) FROM \(raw: table) WHERE user_id = \(key.owner) AND session_id = \(key.session) \
        ORDER BY \(raw: column) LIMIT 1 OFFSET \(SessionRemoval.piece)
        """
    }

    /// Any sessions of a user: active ones, deleted ones, or those whose rows are going.
    static func some(of owner: UniqueID, _ state: SessionRemoval.State, limit: Int) -> SQL {
        let condition =
            switch state {
            case .active: "IS NULL"
            case .deleted: "> \(SessionRemoval.condemned.microseconds)"
            case .condemned: "= \(SessionRemoval.condemned.microseconds)"
            }
        return """
            SELECT session_id FROM sessions WHERE user_id = \(owner) AND deleted_us \(raw: condition) LIMIT \(limit)
            """
    }

    static func forget(_ owner: UniqueID, in table: String) -> SQL {
        "DELETE FROM \(raw: table) WHERE user_id = \(owner)"
    }

    /// Sets or clears the digest of the stored system messages; nil where they stay.
    static func change(_ system: SystemChange, of key: SessionKey) -> SQL? {
        let digest: StoredDigest?
        switch system {
        case .keep: return nil
        case .clear: digest = nil
        case .set(let messages): digest = messages.digest
        }
        return """
            UPDATE sessions SET system_digest = \(digest) WHERE user_id = \(key.owner) AND session_id = \(key.session)
            """
    }

    static let fillModel = BulkStatement(
        """
        UPDATE sessions SET model = COALESCE(model, ?), provider = COALESCE(provider, ?) \
        WHERE user_id = ? AND session_id = ?
        """)

    /// The values of `fillModel`.
    static func model(of turn: TurnDraft) -> [SQLValue] {
        [
            .text(turn.model), turn.provider.isEmpty ? .null : .text(turn.provider), .id(turn.key.owner),
            .id(turn.key.session),
        ]
    }
}

/// The names that a deleted session had.
struct FormerNames {
    var externalID: String?
    var agentID: String
    var conversation: String?
}
