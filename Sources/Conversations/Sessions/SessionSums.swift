import Persistence

/// What a user's sessions add up to, counted in the transactions that change them: nobody has to walk them.
///
/// A user has a row for each of some shards, chosen by the session: turns of different sessions rarely wait for each
/// other's commit, and two nodes of a cluster rarely meet in one row. A row is written last in its transaction, behind
/// those of sessions and `session_totals`.
struct SessionSums: Sendable, Equatable {
    /// A multiple of the lanes' shards, so that two lanes never wait for each other.
    static let shards: UInt64 = 16

    // Of active sessions.
    var messages: Int64 = 0
    var turns: Int64 = 0
    var promptTokens: Int64 = 0
    var completionTokens: Int64 = 0
    /// Messages that take room, superseded ones and those of deleted sessions too: what limits count.
    var stored: Int64 = 0
    /// Sessions that can be restored.
    var deleted: Int64 = 0

    init() {}

    /// What a session adds while it is active.
    init(active session: Session) {
        self.init(session.counters, stored: session.nextSeq - 1)
    }

    init(_ counters: SessionCounters, stored: Int64) {
        messages = counters.messages
        turns = counters.turns
        promptTokens = counters.promptTokens
        completionTokens = counters.completionTokens
        self.stored = stored
    }

    /// What a session adds while it is deleted.
    init(deletedWith stored: Int64) {
        self.stored = stored
        deleted = 1
    }

    static func - (left: SessionSums, right: SessionSums) -> SessionSums {
        var difference = SessionSums()
        difference.messages = left.messages - right.messages
        difference.turns = left.turns - right.turns
        difference.promptTokens = left.promptTokens - right.promptTokens
        difference.completionTokens = left.completionTokens - right.completionTokens
        difference.stored = left.stored - right.stored
        difference.deleted = left.deleted - right.deleted
        return difference
    }

    static func += (left: inout SessionSums, right: SessionSums) {
        left.messages += right.messages
        left.turns += right.turns
        left.promptTokens += right.promptTokens
        left.completionTokens += right.completionTokens
        left.stored += right.stored
        left.deleted += right.deleted
    }

    /// In the order of the columns.
    private static var all: [WritableKeyPath<SessionSums, Int64>] {
        [\.messages, \.turns, \.promptTokens, \.completionTokens, \.stored, \.deleted]
    }

    private init(_ row: borrowing Row) throws {
        for (column, sum) in Self.all.enumerated() {
            self[keyPath: sum] = try row.integer(column, in: Row.exactIntegers)
        }
    }
}

// MARK: - Counting

extension SessionSums {
    /// What a transaction changes of sessions, gathered until its end.
    typealias Changes = [(key: SessionKey, sums: SessionSums)]

    /// Adds what has changed of sessions, in the transaction that changes them and as the last thing in it.
    static func add(_ changes: Changes, _ connection: any Connection) throws {
        let write = addition(of: changes, connection.dialect)
        guard !write.rows.isEmpty else { return }
        try connection.execute(write.statement, rows: write.rows)
    }

    /// The same as a part of what a transaction writes at its end.
    static func addition(of changes: Changes, _ dialect: Dialect) -> BulkWrite {
        var rows: [Place: SessionSums] = [:]
        for (key, sums) in changes where sums != SessionSums() { rows[Place(key), default: SessionSums()] += sums }
        let values = BulkRows(width: addInMariaDB.width)
        for (place, sums) in rows.sorted(by: { $0.key < $1.key }) {
            values.append(place.owner)
            values.append(place.shard)
            values.append(sums.messages)
            values.append(sums.turns)
            values.append(sums.promptTokens)
            values.append(sums.completionTokens)
            values.append(sums.stored)
            values.append(sums.deleted)
        }
        return BulkWrite(dialect == .sqlite ? addInSQLite : addInMariaDB, rows: values)
    }

    /// What all sessions of a user add up to.
    static func of(_ owner: UniqueID, _ connection: any Connection) throws -> SessionSums {
        let query: SQL = "SELECT \(raw: columns) FROM session_sums WHERE user_id = \(owner)"
        return try connection.rows(query, SessionSums.init).reduce(into: SessionSums()) { $0 += $1 }
    }

    /// How many messages a user stores, with all counters locked until the transaction ends.
    static func lockStored(of owner: UniqueID, _ connection: any Connection) throws -> Int64 {
        let query: SQL = """
            SELECT stored FROM session_sums WHERE user_id = \(owner) ORDER BY shard \(raw: connection.dialect.forUpdate)
            """
        return try connection.rows(query) { try $0.integer(0, in: Row.exactIntegers) }.reduce(0, +)
    }

    private struct Place: Hashable, Comparable {
        let owner: UniqueID
        let shard: Int64

        init(_ key: SessionKey) {
            owner = key.owner
            shard = Int64(key.session.shardKey % SessionSums.shards)
        }

        static func < (left: Place, right: Place) -> Bool { (left.owner, left.shard) < (right.owner, right.shard) }
    }

    private static let names = ["messages", "turns", "prompt_tokens", "completion_tokens", "stored", "deleted"]
    private static let columns = names.joined(separator: ", ")
    private static let insert = """
        INSERT INTO session_sums (user_id, shard, \(columns)) VALUES (\(SQL.placeholders(names.count + 2)))
        """
    private static let addInSQLite = BulkStatement(
        insert + " ON CONFLICT (user_id, shard) DO UPDATE SET "
            + names.map { "\($0) = \($0) + excluded.\($0)" }.joined(separator: ", "))
    private static let addInMariaDB = BulkStatement(
        insert + " ON DUPLICATE KEY UPDATE " + names.map { "\($0) = \($0) + VALUES(\($0))" }.joined(separator: ", "))

    /// Locks all counters of a user until the transaction ends, those too that are not there yet.
    static func lock(_ owner: UniqueID, _ connection: any Connection) throws {
        let values = (0...Int64(shards)).flatMap { shard -> [SQLValue] in
            [.id(owner), .integer(shard)] + all.map { _ in .integer(0) }
        }
        try connection.execute(connection.dialect == .sqlite ? addInSQLite : addInMariaDB, rows: values)
    }

    /// The counters of sessions, in the row that is no shard's; a condition goes behind it, and `grouped`. What is left of
    /// condemned sessions is not counted.
    static let insertCounted = SQL(
        raw: """
            INSERT INTO session_sums (user_id, shard, \(columns)) SELECT user_id, \(shards), \
            SUM(\(ifActive("message_count"))), SUM(\(ifActive("turn_count"))), SUM(\(ifActive("prompt_tokens"))), \
            SUM(\(ifActive("completion_tokens"))), SUM(CASE WHEN deleted_us = \(condemned) THEN 0 ELSE next_seq - 1 END), \
            SUM(CASE WHEN deleted_us > \(condemned) THEN 1 ELSE 0 END) FROM sessions
            """)
    static let grouped: SQL = " GROUP BY user_id"

    private static let condemned = SessionRemoval.condemned.microseconds

    private static func ifActive(_ column: String) -> String {
        "CASE WHEN deleted_us IS NULL THEN \(column) ELSE 0 END"
    }

    /// The counters of what was stored before there were any, in a row of its own.
    static var migration: [@Sendable (Dialect) -> String] {
        [
            { type in
                """
                CREATE TABLE IF NOT EXISTS session_sums (
                    user_id \(type.id) NOT NULL, shard \(type.integer) NOT NULL,
                    \(names.map { "\($0) \(type.integer) NOT NULL DEFAULT 0" }.joined(separator: ", ")),
                    PRIMARY KEY (user_id, shard)) \(type.clustered)
                """
            },
            { _ in
                """
                REPLACE INTO session_sums (user_id, shard, \(columns)) SELECT user_id, \(shards),
                    SUM(CASE WHEN deleted_us IS NULL THEN message_count ELSE 0 END),
                    SUM(CASE WHEN deleted_us IS NULL THEN turn_count ELSE 0 END),
                    SUM(CASE WHEN deleted_us IS NULL THEN prompt_tokens ELSE 0 END),
                    SUM(CASE WHEN deleted_us IS NULL THEN completion_tokens ELSE 0 END), SUM(next_seq - 1),
                    SUM(CASE WHEN deleted_us IS NULL THEN 0 ELSE 1 END) FROM sessions GROUP BY user_id
                """
            },
        ]
    }
}
