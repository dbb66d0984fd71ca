import Persistence

extension ConversationSQL {
    /// How many rows one statement looks up by key. SQLite is in the process: a prepared statement per row is the fast
    /// way. Over a network one statement for many is.
    static func lookupSize(_ dialect: Dialect) -> Int { dialect == .sqlite ? 1 : 64 }

    /// Locks the rows of sessions, in the order of their keys, and reads what appending needs.
    static func lock(_ keys: ArraySlice<SessionKey>, _ dialect: Dialect) -> SQL {
        "SELECT \(raw: SessionRow.list) FROM sessions WHERE \(sql: active(keys)) "
            + SQL(raw: "ORDER BY user_id, session_id \(dialect.forUpdate)")
    }

    /// The same with the columns of `SessionRow.appending` alone.
    static func lockForAppending(_ keys: ArraySlice<SessionKey>, _ dialect: Dialect) -> SQL {
        let texts = dialect == .sqlite ? lockForAppendingInSQLite : lockForAppendingInMariaDB
        return SQL(raw: texts[keys.count], values: values(keys))
    }

    /// The versions of those sessions that exist.
    static func versions(of keys: ArraySlice<SessionKey>) -> SQL {
        SQL(raw: versionTexts[keys.count], values: values(keys))
    }

    /// The versions of sessions, and when they were deleted.
    static func states(of keys: ArraySlice<SessionKey>) -> SQL {
        SQL(raw: stateTexts[keys.count], values: values(keys))
    }

    /// The same with their rows locked.
    static func lockStates(of keys: ArraySlice<SessionKey>, _ dialect: Dialect) -> SQL {
        let texts = dialect == .sqlite ? lockStatesInSQLite : lockStatesInMariaDB
        return SQL(raw: texts[keys.count], values: values(keys))
    }

    private static let versionTexts = KeyedTexts("SELECT user_id, session_id, version FROM sessions")
    private static let state = "SELECT user_id, session_id, version, deleted_us FROM sessions"
    private static let stateTexts = KeyedTexts(state, ofDeleted: true)
    private static let lockStatesInSQLite = KeyedTexts(state, ofDeleted: true, lockOrder(.sqlite))
    private static let lockStatesInMariaDB = KeyedTexts(state, ofDeleted: true, lockOrder(.mariadb))
    private static let lockForAppendingInSQLite = KeyedTexts(lockForAppending, lockOrder(.sqlite))
    private static let lockForAppendingInMariaDB = KeyedTexts(lockForAppending, lockOrder(.mariadb))
    private static let lockForAppending = "SELECT \(SessionRow.appendingList) FROM sessions"

    private static func lockOrder(_ dialect: Dialect) -> String { "ORDER BY user_id, session_id \(dialect.forUpdate)" }

    /// The texts of a statement for sessions by their keys, for every number of them that occurs: made once, because
    /// putting one together costs more than running it.
    private struct KeyedTexts {
        private let texts: [String]

        /// - Parameter ofDeleted: Whether deleted sessions are looked up too.
        init(_ select: String, ofDeleted: Bool = false, _ end: String = "") {
            let state = ofDeleted ? "" : " AND deleted_us IS NULL"
            texts = (0...6).map { power in
                let rows = repeatElement("(user_id = ? AND session_id = ?)", count: 1 << power).joined(
                    separator: " OR ")
                return "\(select) WHERE (\(rows))\(state) \(end)"
            }
        }

        /// - Parameter count: From 1 to 64.
        subscript(count: Int) -> String { texts[SQL.paddedCount(count).trailingZeroBitCount] }
    }

    /// The last one is repeated until their number is a power of two, as in the texts.
    private static func values(_ keys: ArraySlice<SessionKey>) -> [SQLValue] {
        let count = SQL.paddedCount(keys.count)
        var values: [SQLValue] = []
        values.reserveCapacity(2 * count)
        for index in 0..<count {
            let key = keys[keys.startIndex + min(index, keys.count - 1)]
            values.append(.id(key.owner))
            values.append(.id(key.session))
        }
        return values
    }

    private static func active(_ keys: ArraySlice<SessionKey>) -> SQL {
        let rows = keys.map { "(user_id = \($0.owner) AND session_id = \($0.session))" as SQL }
        return "(\(sql: any(of: rows))) AND deleted_us IS NULL"
    }

    /// Which of these turns are stored already.
    static func stored(_ turns: [(key: SessionKey, id: UniqueID)]) -> SQL {
        let rows = turns.map {
            "(user_id = \($0.key.owner) AND session_id = \($0.key.session) AND turn_id = \($0.id))" as SQL
        }
        return "SELECT user_id, session_id, turn_id, first_seq FROM turns WHERE \(sql: any(of: rows))"
    }

    /// `a OR b OR …`, with the last repeated until their number is a power of two: few different statements.
    private static func any(of rows: [SQL]) -> SQL {
        let padding = rows.suffix(1).flatMap { Array(repeating: $0, count: SQL.paddedCount(rows.count) - rows.count) }
        return (rows + padding).dropFirst().reduce(rows.first ?? "1 = 0") { $0 + " OR " + $1 }
    }

    static let insertMessages = BulkStatement(
        insertInto: "messages",
        [
            "user_id", "session_id", "seq", "turn_id", "role", "digest", "digest_version", "tokens", "created_us",
            "chapter", "citations", "body", "token_encoding", "is_partial", "media", "model", "status", "metadata",
        ])

    /// - Parameter body: the message's, without the media that lie in `blobs`.
    static func append(
        _ message: NewMessage, _ body: DetachedBody, _ seq: Int64, of turn: TurnDraft, at time: Timestamp,
        to values: BulkRows
    ) {
        // Who answered, and how that ended, is said of the answers alone.
        let isAnswer = message.role == .assistant
        values.append(turn.key.owner)
        values.append(turn.key.session)
        values.append(seq)
        values.append(turn.id)
        values.append(message.role.rawValue)
        values.append(message.digest)
        values.append(message.digestVersion)
        values.append(message.tokens)
        values.append(message.createdAt ?? time)
        values.append(message.chapter)
        values.append(message.citations)
        values.append(body.text)
        values.append(message.tokenEncoding)
        values.append(message.isPartial)
        values.append(body.references)
        values.append(isAnswer ? message.model ?? turn.modelName : nil)
        values.append((isAnswer ? message.status ?? turn.status : nil)?.rawValue)
        values.append(message.metadata)
    }

    static let insertTurns = BulkStatement(
        insertInto: "turns",
        [
            "user_id", "session_id", "turn_id", "first_seq", "message_count", "base_seq", "request_digest", "status",
            "model", "provider", "prompt_tokens", "completion_tokens", "created_us", "attempt",
        ])

    static func append(_ turn: TurnDraft, _ firstSeq: Int64, at time: Timestamp, to values: BulkRows) {
        values.append(turn.key.owner)
        values.append(turn.key.session)
        values.append(turn.id)
        values.append(firstSeq)
        values.append(turn.messages.count)
        values.append(turn.baseSeq)
        values.append(turn.requestDigest)
        values.append(turn.status.rawValue)
        values.append(turn.model)
        values.append(turn.provider)
        values.append(turn.promptTokens)
        values.append(turn.completionTokens)
        values.append(time)
        values.append(turn.attempt)
    }

    /// The first seq of a later attempt of the same request on the same base, if there is one.
    static func laterAttempt(of turn: TurnDraft) -> SQL {
        """
        SELECT MAX(first_seq) FROM turns WHERE user_id = \(turn.key.owner) AND session_id = \(turn.key.session) \
        AND base_seq = \(turn.baseSeq) AND request_digest = \(turn.requestDigest) AND attempt > \(turn.attempt)
        """
    }

    /// Which attempt of its client a stored turn is.
    static func attempt(of turn: UniqueID, in key: SessionKey) -> SQL {
        """
        SELECT attempt FROM turns \
        WHERE user_id = \(key.owner) AND session_id = \(key.session) AND turn_id = \(turn)
        """
    }

    /// The seq behind the last message of a stored turn.
    static func end(of turn: UniqueID, in key: SessionKey) -> SQL {
        """
        SELECT first_seq + message_count FROM turns \
        WHERE user_id = \(key.owner) AND session_id = \(key.session) AND turn_id = \(turn)
        """
    }

    static func supersede(_ key: SessionKey, _ seqs: Range<Int64>, by seq: Int64) -> SQL {
        """
        UPDATE messages SET superseded_by_seq = \(seq) \
        WHERE user_id = \(key.owner) AND session_id = \(key.session) AND seq >= \(seqs.lowerBound) \
        AND seq < \(seqs.upperBound) AND superseded_by_seq IS NULL
        """
    }

    static let updateSessions = BulkStatement(updateSession, effect: .one)

    /// The same for a row that is as it was taken to be. Its version alone should tell; the others are what is counted on
    /// from there, and the newest turn tells one table from another with the same numbers.
    static let claimSessions = BulkStatement(
        updateSession + """
             AND version = ? AND next_seq = ? AND context_start_seq = ? AND message_count = ? AND last_turn_id <=> ? \
            AND deleted_us IS NULL
            """, effect: .one)

    private static let updateSession = """
        UPDATE sessions SET next_seq = ?, context_start_seq = ?, version = ?, last_turn_id = ?, last_turn_seq = ?, \
        last_turn_base = ?, last_turn_digest = ?, last_turn_key = ?, message_count = ?, turn_count = ?, \
        prompt_tokens = ?, completion_tokens = ?, system_digest = ?, updated_us = ?, last_message_at = ?, \
        expires_us = ? \
        WHERE user_id = ? AND session_id = ?
        """

    /// The row of `updateSessions`, and the beginning of one of `claimSessions`.
    static func append(_ session: Session, to values: BulkRows) {
        values.append(session.nextSeq)
        values.append(session.contextStartSeq)
        values.append(session.version)
        values.append(session.lastTurn?.id)
        values.append(session.lastTurn.map { Int($0.firstSeq) })
        values.append(session.lastTurn.map { Int($0.baseSeq) })
        values.append(session.lastTurn?.requestDigest)
        values.append(session.lastTurn?.idempotencyKey)
        values.append(session.counters.messages)
        values.append(session.counters.turns)
        values.append(session.counters.promptTokens)
        values.append(session.counters.completionTokens)
        values.append(session.systemDigest)
        values.append(session.updatedAt)
        values.append(session.lastMessageAt)
        values.append(session.expiresAt)
        values.append(session.key.owner)
        values.append(session.key.session)
    }

    /// What a row of `claimSessions` ends with: the session as it was taken to be.
    static func append(condition session: Session, to values: BulkRows) {
        values.append(session.version)
        values.append(session.nextSeq)
        values.append(session.contextStartSeq)
        values.append(session.counters.messages)
        values.append(session.lastTurn?.id)
    }

    static let setTitle = BulkStatement(
        "UPDATE sessions SET title = ? WHERE user_id = ? AND session_id = ? AND title = ''")

    static func setSystem(_ key: SessionKey, _ system: SystemMessages, _ dialect: Dialect) -> SQL {
        // Said once: both would have to fit into one packet.
        """
        INSERT INTO session_systems (user_id, session_id, body) VALUES (\(key.owner), \(key.session), \(system.body)) \
        \(raw: dialect.orUpdate("user_id, session_id")) \
        body = \(raw: dialect == .sqlite ? "excluded.body" : "VALUES(body)")
        """
    }
}
