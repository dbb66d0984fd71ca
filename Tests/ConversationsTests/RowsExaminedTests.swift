import Logging
import NIOCore
import Persistence
import Testing
import TurnpikeTesting

@testable import Conversations

/// How many rows the database looks at for what the API shows of a user who has much: a hundredth of what
/// `scripts/bench-sessions` measures.
@Suite("Rows examined") struct RowsExaminedTests {
    @Test(arguments: TestedDatabase.allCases)
    func aPageCostsWhatItShowsHoweverMuchAUserHas(_ tested: TestedDatabase) async throws {
        try await tested.fixture().with { database in
            let user = try await BusyUser.make(in: database)
            let examined = try await database.read { try RowCounter.costs(user, $0) }
            for cost in examined {
                #expect(cost.returned > 0, "\(cost.what)")
                #expect(cost.examined <= 2 * cost.returned, "\(cost.what): \(cost.examined) for \(cost.returned)")
            }
            let nobody = try await database.read { try RowCounter.costs(BusyUser(), $0) }
            for cost in nobody where cost.returned == 0 {
                #expect(cost.examined <= 3, "\(cost.what) of a user without sessions: \(cost.examined)")
            }
        }
    }

    @Test func everyPageIsReadAlongAnIndex() async throws {
        try await SQLiteFixture().with { database in
            let user = try await BusyUser.make(in: database)
            let plans = try await database.read { connection in
                try BusyUser.statements(user).map { sql in
                    try connection.rows("EXPLAIN QUERY PLAN \(sql: sql)") { try $0.value(3, as: String.self) }
                }
            }
            for plan in plans {
                #expect(plan.allSatisfy { $0.hasPrefix("SEARCH") }, "\(plan)")
            }
        }
    }
}

/// A user with 1,000 sessions, a tenth of them of groups and a seventh deleted, and 50,000 messages of 200 bytes.
private struct BusyUser: Sendable {
    static let sessions = 1_000
    static let messages = 50
    let id = UniqueID.generate()

    /// One of its sessions, by number.
    func session(_ number: Int) -> SessionKey {
        let digits = String(number)
        let name = String(repeating: "0", count: 16 - digits.count) + digits
        guard let id = UniqueID(bytes: Array(name.utf8)) else { preconditionFailure("16 digits are an id") }
        return SessionKey(owner: self.id, session: id)
    }

    static func make(in database: any Database) async throws -> BusyUser {
        _ = try await Migrator(ConversationStore.migrations, logger: Logger(label: "test")).migrate(database)
        let user = BusyUser()
        try await database.write { connection in
            let isSQLite = connection.dialect == .sqlite
            func numbers(_ count: Int) -> String {
                isSQLite
                    ? """
                    (WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < \(count))
                    SELECT seq FROM n)
                    """ : "seq_1_to_\(count)"
            }
            let id = isSQLite ? "CAST(printf('%016d', s.seq) AS BLOB)" : "LPAD(s.seq, 16, '0')"
            let digest = isSQLite ? "zeroblob(32)" : "UNHEX(REPEAT('00', 32))"
            try connection.execute(
                """
                INSERT INTO sessions (user_id, session_id, title, next_seq, message_count, created_us, updated_us, \
                last_message_at, is_group, deleted_us) SELECT \(user.id), \(raw: id), 'a session', 51, 50, 1, 1, \
                1000 * s.seq, CASE WHEN s.seq % 10 = 0 THEN 1 ELSE 0 END, CASE WHEN s.seq % 7 = 0 THEN 5 END \
                FROM \(raw: numbers(sessions)) AS s
                """)
            try connection.execute(
                """
                INSERT INTO messages (user_id, session_id, seq, turn_id, role, digest, digest_version, created_us, \
                body) SELECT \(user.id), \(raw: id), m.seq, \(raw: id), 3, \(raw: digest), 1, m.seq, \(body) \
                FROM \(raw: numbers(sessions)) AS s, \(raw: numbers(messages)) AS m
                """)
            try connection.execute(
                "INSERT INTO session_totals (user_id, active, active_groups) VALUES (\(user.id), 857, 86)")
        }
        return user
    }

    private static let body = ByteBuffer(
        string: #"{"role":"user","content":"\#(String(repeating: "x", count: 200 - 28))"}"#)

    /// What the pages are read with.
    static func statements(_ user: BusyUser) -> [SQL] {
        let page = SessionQuery(limit: 51)
        let next = SessionQuery(
            limit: 51, after: SessionCursor(lastMessageAt: Timestamp(microseconds: 900), session: user.id))
        var messages = MessageQuery(limit: 50)
        messages.order = .newestFirst
        return [
            ConversationSQL.page(of: user.id, page, groups: false),
            ConversationSQL.page(of: user.id, next, groups: true), ConversationSQL.session(user.session(1)),
            ConversationSQL.messages(user.session(1), messages), ConversationSQL.total(user.session(1), messages),
            ConversationSQL.total(of: user.id, includesGroups: false),
            ConversationSQL.expired(of: user.id, at: Timestamp(microseconds: 1), limit: 1),
            ConversationSQL.searchedSessions(of: user.id, from: nil, groups: false),
        ]
    }
}

/// How many rows statements look at: on MariaDB by the counters of the connection; SQLite has none, and what it does is
/// shown by the plans of the same statements.
private enum RowCounter {
    struct Cost: Sendable {
        let what: String
        let returned: Int
        let examined: Int
    }

    static func costs(_ user: BusyUser, _ connection: any Connection) throws -> [Cost] {
        let reader = ConversationReader(connection, now: Timestamp(microseconds: 1))
        var last = MessageQuery(limit: 50)
        last.order = .newestFirst
        let session = user.session(1)
        let reads: [(String, () throws -> Int)] = [
            (
                "a list",
                {
                    let expired = ConversationSQL.expired(of: user.id, at: reader.now, limit: 1)
                    _ = try connection.first(expired) { _ in true }
                    let own = SessionFilter(includesGroups: false)
                    return try reader.sessions(of: user.id, own, limit: 50).elements.count
                }
            ),
            ("a list with groups", { try reader.sessions(of: user.id, limit: 50).elements.count }),
            ("a session", { try reader.session(session) == nil ? 0 : 1 }),
            ("the last 50 messages", { try reader.messages(of: session, last).elements.count }),
        ]
        let overhead = try examined(connection, { 0 }).examined
        return try reads.map { what, read in
            let cost = try examined(connection, read)
            return Cost(what: what, returned: cost.returned, examined: cost.examined - overhead)
        }
    }

    private static func examined(
        _ connection: any Connection, _ read: () throws -> Int
    ) throws -> (returned: Int, examined: Int) {
        let before = try handlerReads(connection)
        let returned = try read()
        return (returned, try handlerReads(connection) - before)
    }

    private static func handlerReads(_ connection: any Connection) throws -> Int {
        guard connection.dialect == .mariadb else { return 0 }
        return try connection.rows("SHOW SESSION STATUS LIKE 'Handler_read%'") { row in
            Int(try row.value(1, as: String.self)) ?? 0
        }.reduce(0, +)
    }
}
