import Persistence

/// Counts anew what a user has, from the rows, inside one transaction.
///
/// Processes of a release that does not know a counter leave it as it is when they store or remove. All counters of the
/// user are locked before the rows are looked at, in the order in which others lock them: whoever changes a session
/// has either been committed by then and is seen, or waits with its own addition until this is over.
enum CounterRecount {
    static func run(_ owner: UniqueID, _ connection: any Connection) throws {
        try lock(owner, connection)
        for table in ["session_totals", "channel_totals", "session_sums"] {
            try connection.execute(ConversationSQL.forget(owner, in: table))
        }
        try connection.execute(
            """
            INSERT INTO session_totals (user_id, active, active_groups) SELECT user_id, COUNT(*), \
            SUM(CASE WHEN is_group <> 0 THEN 1 ELSE 0 END) FROM sessions \
            WHERE user_id = \(owner) AND deleted_us IS NULL GROUP BY user_id
            """)
        try connection.execute(ChannelTotals.insertCounted + " AND user_id = \(owner)\(sql: ChannelTotals.grouped)")
        try connection.execute(SessionSums.insertCounted + " WHERE user_id = \(owner)\(sql: SessionSums.grouped)")
    }

    private static func lock(_ owner: UniqueID, _ connection: any Connection) throws {
        // A row that is not there cannot be locked.
        try connection.execute(ConversationSQL.count(0, of: owner, isGroup: false, connection.dialect))
        let channels: SQL = """
            SELECT active FROM channel_totals WHERE user_id = \(owner) ORDER BY source_channel \
            \(raw: connection.dialect.forUpdate)
            """
        _ = try connection.rows(channels) { _ in }
        try SessionSums.lock(owner, connection)
    }

    /// The next users who have counters, in the order of their ids.
    fileprivate static func users(after user: UniqueID?, _ connection: any Connection) throws -> [UniqueID] {
        let behind: SQL = user.map { " WHERE user_id > \($0)" } ?? ""
        let query: SQL = """
            SELECT user_id FROM session_totals\(sql: behind) UNION SELECT user_id FROM session_sums\(sql: behind) \
            ORDER BY user_id LIMIT 100
            """
        return try connection.rows(query) { try $0.value(0) }
    }
}

extension ConversationStore {
    /// Counts anew what every user has, one after the other, while others go on storing.
    ///
    /// - Returns: How many users there are.
    public func recount() async throws -> Int {
        var count = 0
        var last: UniqueID?
        while case let users = try await database.read(
            .patiently, { [last] in try CounterRecount.users(after: last, $0) }),
            !users.isEmpty
        {
            for user in users { try await database.write(.patiently) { try CounterRecount.run(user, $0) } }
            count += users.count
            last = users.last
        }
        return count
    }
}
