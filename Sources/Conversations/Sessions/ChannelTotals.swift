import Persistence

/// How many active sessions a user has from each channel, counted in the transactions that change it.
enum ChannelTotals {
    /// Most channels that are told.
    private static let limit = 1_000

    /// - Parameter channel: As the session has it; sessions without one are counted together.
    static func add(_ change: Int, _ channel: String?, of owner: UniqueID, _ connection: any Connection) throws {
        guard change > 0 else { return try subtract(-change, channel ?? "", of: owner, connection) }
        try connection.execute(addition(connection.dialect), rows: addition(change, channel, of: owner))
    }

    /// Adds to the counters of many users' channels, with the rows of the other `addition`.
    static func addition(_ dialect: Dialect) -> BulkStatement { dialect == .sqlite ? addInSQLite : addInMariaDB }

    private static let addInSQLite = makeAddition(.sqlite)
    private static let addInMariaDB = makeAddition(.mariadb)

    private static func makeAddition(_ dialect: Dialect) -> BulkStatement {
        BulkStatement(
            """
            INSERT INTO channel_totals (user_id, source_channel, active) VALUES (?, ?, ?) \
            \(dialect.orUpdate("user_id, source_channel")) active = active + ?
            """)
    }

    /// - Parameter channel: As the session has it; sessions without one are counted together.
    static func addition(_ change: Int, _ channel: String?, of owner: UniqueID) -> [SQLValue] {
        [.id(owner), .text(channel ?? ""), .integer(Int64(change)), .integer(Int64(change))]
    }

    /// A channel without sessions has no row: channels may be renamed without end.
    private static func subtract(
        _ change: Int, _ channel: String, of owner: UniqueID, _ connection: any Connection
    ) throws {
        let row: SQL = "WHERE user_id = \(owner) AND source_channel = \(channel)"
        try connection.execute("UPDATE channel_totals SET active = active - \(change) \(sql: row)")
        try connection.execute("DELETE FROM channel_totals \(sql: row) AND active <= 0")
    }

    /// The most used ones first.
    static func of(_ owner: UniqueID, _ connection: any Connection) throws -> [(channel: String?, sessions: Int)] {
        let query: SQL = """
            SELECT source_channel, active FROM channel_totals WHERE user_id = \(owner) AND active > 0 \
            ORDER BY active DESC, source_channel LIMIT \(limit)
            """
        return try connection.rows(query) { row in
            let channel: String = try row.value(0)
            return (channel.isEmpty ? nil : channel, try row.value(1))
        }
    }

    /// The counters of active sessions; other conditions go behind it, and `grouped`.
    static let insertCounted: SQL = """
        INSERT INTO channel_totals (user_id, source_channel, active) \
        SELECT user_id, COALESCE(source_channel, ''), COUNT(*) FROM sessions WHERE deleted_us IS NULL
        """
    static let grouped: SQL = " GROUP BY user_id, COALESCE(source_channel, '')"

    static var migration: [@Sendable (Dialect) -> String] {
        [
            { type in
                """
                CREATE TABLE IF NOT EXISTS channel_totals (
                    user_id \(type.id) NOT NULL, source_channel \(type.text(64)) NOT NULL,
                    active \(type.integer) NOT NULL, PRIMARY KEY (user_id, source_channel)) \(type.clustered)
                """
            },
            { _ in
                """
                REPLACE INTO channel_totals (user_id, source_channel, active)
                    SELECT user_id, COALESCE(source_channel, ''), COUNT(*) FROM sessions WHERE deleted_us IS NULL
                    GROUP BY user_id, COALESCE(source_channel, '')
                """
            },
        ]
    }
}
