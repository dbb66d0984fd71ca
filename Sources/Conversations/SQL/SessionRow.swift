import Persistence

/// The columns of `sessions` in the order in which they are read and inserted.
enum SessionRow {
    static let columns = [
        "user_id", "session_id", "external_id", "agent_id", "external_conv_id", "is_group", "group_name",
        "participant_id", "peer_agent_id", "title", "source_channel", "provider", "model", "max_history",
        "history_mode",
        "truncation", "metadata", "system_digest", "next_seq", "context_start_seq", "version", "last_turn_id",
        "last_turn_seq", "last_turn_base", "last_turn_digest", "message_count", "turn_count", "prompt_tokens",
        "completion_tokens", "created_us", "updated_us", "last_message_at", "last_turn_key", "metadata_tags",
        "rag_document_ids", "ttl_seconds", "expires_us", "deleted_us",
    ]
    static let list = columns.joined(separator: ", ")

    /// What appending reads of a session, in the order of `appending(_:)`.
    static let appendingList = [
        "user_id", "session_id", "provider IS NULL", "model IS NULL", "ttl_seconds", "system_digest", "next_seq",
        "context_start_seq", "version", "last_turn_id", "last_turn_seq", "last_turn_base", "last_turn_digest",
        "last_turn_key",
        "message_count", "turn_count", "prompt_tokens", "completion_tokens",
    ].joined(separator: ", ")

    /// Sequence numbers, versions, and counts of messages and tokens: what JSON carries exactly (RFC 7493), and far from where
    /// counting on overflows.
    static let counts: ClosedRange<Int64> = 0...1 << 53
    /// Tokens of one message: no text has more of them than bytes, and no column takes more bytes. Those of a history add up.
    static let tokens: ClosedRange<Int64> = 0...1 << 32
    private static let times = 1...Int64(SessionSettings.maximumTTL)

    /// A session as far as appending needs it: the other fields are empty, and it must not leave the batch.
    static func appending(_ row: borrowing Row) throws -> Session {
        var settings = SessionSettings()
        // Appending asks no more than whether there are any.
        settings.provider = try row.value(2) ? nil : ""
        settings.model = try row.value(3) ? nil : ""
        settings.ttlSeconds = try ttl(row, 4)
        let nextSeq = try row.integer(6, in: counts)
        var lastTurn: LastTurn?
        if let id: UniqueID = try row.optional(9) {
            lastTurn = LastTurn(
                id: id, firstSeq: try row.integer(10, in: 0...nextSeq), baseSeq: try row.integer(11, in: counts),
                requestDigest: try row.value(12), idempotencyKey: try row.optional(13))
        }
        let never = Timestamp(microseconds: 0)
        return Session(
            key: SessionKey(owner: try row.value(0), session: try row.value(1)), externalID: nil, conversation: nil,
            settings: settings, systemDigest: try row.optional(5), nextSeq: nextSeq,
            contextStartSeq: try row.integer(7, in: counts), version: try row.integer(8, in: counts),
            lastTurn: lastTurn, counters: try counters(row, from: 14), createdAt: never, updatedAt: never,
            lastMessageAt: never)
    }

    static func session(_ row: borrowing Row) throws -> Session {
        let nextSeq = try row.integer(18, in: counts)
        return Session(
            key: SessionKey(owner: try row.value(0), session: try row.value(1)), externalID: try row.optional(2),
            conversation: try conversation(row), settings: try settings(row), systemDigest: try row.optional(17),
            nextSeq: nextSeq, contextStartSeq: try row.integer(19, in: counts),
            version: try row.integer(20, in: counts), lastTurn: try lastTurn(row, before: nextSeq),
            counters: try counters(row, from: 25),
            createdAt: try row.value(29), updatedAt: try row.value(30), lastMessageAt: try row.value(31),
            expiresAt: try row.optional(36), deletedAt: try row.optional(37))
    }

    private static func conversation(_ row: borrowing Row) throws -> AgentConversation? {
        var conversation = AgentConversation(agentID: try row.value(3), externalID: try row.optional(4))
        conversation.isGroup = try row.value(5)
        conversation.groupName = try row.optional(6)
        conversation.participantID = try row.optional(7)
        conversation.peerAgentID = try row.optional(8)
        return conversation.isEmpty ? nil : conversation
    }

    private static func settings(_ row: borrowing Row) throws -> SessionSettings {
        var settings = SessionSettings()
        settings.title = try row.value(9)
        settings.sourceChannel = try row.optional(10)
        settings.provider = try row.optional(11)
        settings.model = try row.optional(12)
        settings.maxHistory = try row.optionalInteger(13, in: counts).map(Int.init)
        settings.historyMode = try row.optional(14)
        settings.truncation = try row.optional(15)
        settings.metadata = try row.optional(16)
        settings.tags = try StoredList.read(row, 33)
        settings.ragDocumentIDs = try StoredList.read(row, 34)
        settings.ttlSeconds = try ttl(row, 35)
        return settings
    }

    private static func lastTurn(_ row: borrowing Row, before nextSeq: Int64) throws -> LastTurn? {
        guard let id: UniqueID = try row.optional(21) else { return nil }
        return LastTurn(
            id: id, firstSeq: try row.integer(22, in: 0...nextSeq), baseSeq: try row.integer(23, in: counts),
            requestDigest: try row.value(24), idempotencyKey: try row.optional(32))
    }

    private static func counters(_ row: borrowing Row, from column: Int) throws -> SessionCounters {
        var counters = SessionCounters()
        counters.messages = try row.integer(column, in: counts)
        counters.turns = try row.integer(column + 1, in: counts)
        counters.promptTokens = try row.integer(column + 2, in: counts)
        counters.completionTokens = try row.integer(column + 3, in: counts)
        return counters
    }

    private static func ttl(_ row: borrowing Row, _ column: Int) throws -> Int? {
        try row.optionalInteger(column, in: times).map(Int.init)
    }

    /// The values of a new session, in the order of `columns`.
    static func values(_ draft: SessionDraft, at time: Timestamp) -> [SQLValue] {
        let settings = draft.settings
        let bindables: [any SQLBindable] = [
            draft.key.owner, draft.key.session, draft.externalID, draft.conversation?.agentID ?? "",
            draft.conversation?.externalID, draft.conversation?.isGroup ?? false, draft.conversation?.groupName,
            draft.conversation?.participantID, draft.conversation?.peerAgentID, settings.title, settings.sourceChannel,
            settings.provider, settings.model, settings.maxHistory, settings.historyMode, settings.truncation,
            settings.metadata, draft.system?.digest, 1, 0, 1, UniqueID?.none, Int?.none, Int?.none, StoredDigest?.none,
            0,
            0, 0, 0, time, time, time, StoredDigest?.none, settings.tags.stored, settings.ragDocumentIDs.stored,
            settings.ttlSeconds, settings.expiry(after: time), Timestamp?.none,
        ]
        return bindables.map(\.sqlValue)
    }
}
