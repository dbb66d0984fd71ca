import OpenAIWire
import Persistence
import TurnpikeKit

/// Reads what was recorded. The owner stands in every query.
struct ActivityLog: Sendable {
    let database: any Database

    /// A place in the log: what lies before it is older.
    struct Cursor: Sendable, Equatable {
        var created: Timestamp
        var id: UniqueID
    }

    /// The user's newest rows before `cursor`, newest first, and whether there are more.
    func entries(of user: UniqueID, before cursor: Cursor?, limit: Int) async throws -> (
        rows: [ActivityRow], more: Bool
    ) {
        let place: SQL =
            if let cursor {
                """
                AND created_us <= \(cursor.created) AND (created_us < \(cursor.created) OR activity_id < \(cursor.id))
                """
            } else { "" }
        let query: SQL = """
            SELECT \(raw: ActivityRow.columns.joined(separator: ", ")) FROM activity WHERE user_id = \(user) \
            \(sql: place) ORDER BY created_us DESC, activity_id DESC LIMIT \(limit + 1)
            """
        let rows = try await database.read { try $0.rows(query) { try ActivityRow($0) } }
        return (Array(rows.prefix(limit)), rows.count > limit)
    }

    /// What the user did since a moment.
    func statistics(of user: UniqueID, since: Timestamp) async throws -> ActivityStatistics {
        try await database.read { connection in
            var statistics = ActivityStatistics()
            try connection.forEach(Self.endings(user, since)) { row in
                try statistics.add(row)
                return .next
            }
            statistics.models = try connection.rows(Self.models(user, since), ActivityStatistics.Model.init)
            return statistics
        }
    }

    private static func endings(_ user: UniqueID, _ since: Timestamp) -> SQL {
        """
        SELECT ending, COUNT(*), \(sql: sum("prompt_tokens")), \(sql: sum("completion_tokens")), \
        \(sql: sum("total_tokens")), \(sql: sum("cached_tokens")), \(sql: sum("reasoning_tokens")), \
        \(sql: sum("cost_micros")) \
        FROM activity WHERE user_id = \(user) AND created_us >= \(since) GROUP BY ending
        """
    }

    private static func models(_ user: UniqueID, _ since: Timestamp) -> SQL {
        """
        SELECT provider, model, COUNT(*), \(sql: sum("prompt_tokens")), \(sql: sum("completion_tokens")), \
        \(sql: sum("total_tokens")), \(sql: sum("cost_micros")) FROM activity \
        WHERE user_id = \(user) AND created_us >= \(since) AND model IS NOT NULL \
        GROUP BY provider, model ORDER BY 3 DESC, provider, model LIMIT \(ActivityStatistics.maximumModels)
        """
    }

    /// An integer on both back ends: MariaDB's `SUM` of integers is a decimal.
    private static func sum(_ column: StaticString) -> SQL { SQL(raw: "CAST(COALESCE(SUM(\(column)), 0) AS SIGNED)") }
}

extension ActivityRow {
    /// Reads a row of `columns`.
    init(_ row: borrowing Row) throws {
        created = try row.value(0)
        id = try row.value(1)
        userID = try row.optional(2)
        keyID = try row.optional(3)
        facts = try ActivityFacts(row)
        method = try row.value(5)
        path = try row.value(6)
        endpoint = try row.optional(7)
        status = try row.value(11)
        // An ending that a newer release has written is none of those that this one knows.
        ending = ActivityEnding(rawValue: try row.value(13)) ?? .failed
        errorCode = try row.optional(14)
        requestBytes = try row.value(21)
        responseBytes = try row.value(22)
        firstByte = try row.optional(23)
        total = try row.value(24)
        flags = try row.value(25, as: String.self).split(separator: ",").map(String.init)
        requests = try row.value(27)
        cost = try row.optional(28)
        facts.history = try row.optional(29)
    }
}

extension ActivityFacts {
    fileprivate init(_ row: borrowing Row) throws {
        self.init()
        sessionID = try row.optional(4)
        requestedModel = try row.optional(8)
        provider = try row.optional(9)
        model = try row.optional(10)
        upstreamStatus = try row.optional(12)
        isStreamed = try row.value(15)
        if let prompt: Int = try row.optional(16) {
            usage = Usage(
                prompt: prompt, completion: try row.optional(17) ?? 0, total: try row.optional(18),
                cachedPrompt: try row.optional(19) ?? 0, reasoning: try row.optional(20) ?? 0)
        }
        captureStatus = try row.optional(26)
    }
}
