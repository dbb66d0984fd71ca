import Persistence

/// Takes sessions away, inside a transaction: in name only, or with all their rows.
///
/// A session that is to lose its rows is condemned first: from then on nothing finds it or brings it back, and its rows
/// go in pieces, each in a transaction of its own.
package enum SessionRemoval {
    /// Every table that has rows of a session; the session's own row last.
    package static let tables = ["session_feedback", "messages", "turns", "session_systems", "sessions"]
    /// Those whose rows are as many as the messages, and the column that tells the rows of a session apart.
    private static let longTables = [("session_feedback", "seq"), ("messages", "seq"), ("turns", "turn_id")]

    /// What belongs to a user beside the sessions, and what may have been left behind.
    static let tablesOfUsers = ["blob_uses", "blobs", "session_totals", "session_sums", "channel_totals"]

    /// What a session is to its user.
    enum State { case active, deleted, condemned }

    /// Most sessions that one transaction deletes or condemns.
    static let batch = 64
    /// Most rows of a table that one piece removes.
    static let piece = 500
    /// The `deleted_us` of a session whose rows are going.
    static let condemned = Timestamp(microseconds: 0)

    static func delete(_ key: SessionKey, _ connection: any Connection, at time: Timestamp) throws -> DeletionOutcome {
        guard let row = try lock(key, connection), row.isActive else { return .notFound }
        try connection.execute(ConversationSQL.delete(key, at: time))
        try row.count(-1, connection)
        try SessionSums.add([(key, row.sumsWhenDeleted - row.sumsWhenActive)], connection)
        return .deleted
    }

    /// Takes a session away for good: what is left of it are rows that nobody reads.
    static func condemn(_ key: SessionKey, _ connection: any Connection) throws -> DeletionOutcome {
        guard let row = try lock(key, connection) else { return .notFound }
        guard !row.isCondemned else { return .deleted }
        try connection.execute(ConversationSQL.condemn(key))
        if row.isActive { try row.count(-1, connection) }
        let sums = row.isActive ? row.sumsWhenActive : row.sumsWhenDeleted
        try SessionSums.add([(key, SessionSums() - sums)], connection)
        return .deleted
    }

    /// Makes a deleted session active again. Its names are its own again where nothing else has taken them.
    static func restore(_ key: SessionKey, _ connection: any Connection, at time: Timestamp) throws -> Session? {
        guard let row = try lock(key, connection), !row.isActive, !row.isCondemned else { return nil }
        var names = row.names
        if let id = names.externalID,
            try connection.first(ConversationSQL.session(owner: key.owner, externalID: id), { _ in true }) != nil
        {
            names.externalID = nil
        }
        if let conversation = names.conversation,
            try connection.first(
                ConversationSQL.session(owner: key.owner, agentID: names.agentID, conversation: conversation),
                { _ in true }) != nil
        {
            names.conversation = nil
        }
        try connection.execute(ConversationSQL.restore(key, names, at: time))
        try row.count(1, connection)
        try SessionSums.add([(key, row.sumsWhenActive - row.sumsWhenDeleted)], connection)
        return try connection.first(ConversationSQL.session(key), SessionRow.session)
    }

    /// Deletes some of what has expired of a user, so that counters and lists are right.
    static func expireSome(of owner: UniqueID, _ connection: any Connection, at time: Timestamp) throws -> Progress {
        let expired = try connection.rows(ConversationSQL.expired(of: owner, at: time, limit: batch)) {
            try $0.value(0, as: UniqueID.self)
        }
        for id in expired { _ = try delete(SessionKey(owner: owner, session: id), connection, at: time) }
        return expired.count < batch ? .done : .more
    }

    /// Condemns some sessions of a user, deleted or not.
    ///
    /// - Returns: How many; 0 when none is left.
    static func condemnSome(of owner: UniqueID, _ connection: any Connection) throws -> Int {
        for state in [State.active, .deleted] {
            let keys = try some(of: owner, state, connection)
            for key in keys { _ = try condemn(key, connection) }
            if !keys.isEmpty { return keys.count }
        }
        return 0
    }

    static func some(of owner: UniqueID, _ state: State, _ connection: any Connection) throws -> [SessionKey] {
        try connection.rows(ConversationSQL.some(of: owner, state, limit: batch)) {
            SessionKey(owner: owner, session: try $0.value(0))
        }
    }
}

// MARK: - Rows

extension SessionRemoval {
    /// Whether there is more to do.
    package enum Progress: Sendable, Equatable { case more, done }

    /// Removes a piece of a condemned session, and at last the session itself.
    ///
    /// - Returns: `done` when nothing is left of it, and for a session that is not condemned.
    static func removePiece(of key: SessionKey, _ connection: any Connection) throws -> Progress {
        guard let row = try lock(key, connection), row.isCondemned else { return .done }
        for (table, column) in longTables where try removePiece(of: table, by: column, key, connection) == .more {
            return .more
        }
        guard try BlobStore(connection).releaseSome(of: key) == .done else { return .more }
        for table in tables { try connection.execute(ConversationSQL.purge(table, key)) }
        return .done
    }

    /// SQLite has no `DELETE … LIMIT`, so the end of the piece is looked up first.
    private static func removePiece(
        of table: String, by column: String, _ key: SessionKey, _ connection: any Connection
    ) throws -> Progress {
        let end = ConversationSQL.endOfPiece(of: table, by: column, key)
        guard let next = try connection.first(end, { row in try row.boundValue(0) }) else { return .done }
        try connection.execute(ConversationSQL.purge(table, key) + " AND \(raw: column) < \(next)")
        return .more
    }

    private struct Removable {
        var key: SessionKey
        var deletedAt: Timestamp?
        var isGroup: Bool
        var names: FormerNames
        var channel: String?
        var stored: Int64
        var counters = SessionCounters()

        var isActive: Bool { deletedAt == nil }
        var isCondemned: Bool { deletedAt == SessionRemoval.condemned }
        var sumsWhenActive: SessionSums { SessionSums(counters, stored: stored) }
        var sumsWhenDeleted: SessionSums { SessionSums(deletedWith: stored) }

        init(_ key: SessionKey, _ row: borrowing Row) throws {
            self.key = key
            deletedAt = try row.optional(0)
            isGroup = try row.value(1)
            names = FormerNames(
                externalID: try row.optional(2), agentID: try row.value(3), conversation: try row.optional(4))
            channel = try row.optional(5)
            stored = try row.value(6, as: Int64.self) - 1
            counters.messages = try row.value(7)
            counters.turns = try row.value(8)
            counters.promptTokens = try row.value(9)
            counters.completionTokens = try row.value(10)
        }

        /// Counts the session among the active ones, or no longer.
        func count(_ change: Int, _ connection: any Connection) throws {
            try connection.execute(ConversationSQL.count(change, of: key.owner, isGroup: isGroup, connection.dialect))
            try ChannelTotals.add(change, channel, of: key.owner, connection)
        }
    }

    private static func lock(_ key: SessionKey, _ connection: any Connection) throws -> Removable? {
        try connection.first(ConversationSQL.lockForRemoval(key, connection.dialect)) { try Removable(key, $0) }
    }
}

extension Row {
    /// A column as it would be bound again.
    fileprivate borrowing func boundValue(_ column: Int) throws -> SQLValue {
        try kind(column) == .integer ? .integer(integer(column)) : .id(value(column))
    }
}
