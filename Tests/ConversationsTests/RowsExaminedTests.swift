import Logging
import NIOCore
import Persistence
import PersistenceSQLite
import Testing
import TurnpikeTesting

@testable import Conversations

/// How many rows the database looks at for what the API shows of a user who has much: a hundredth of what
/// `scripts/bench-sessions` measures.
///
/// MariaDB counts the rows (`Handler_read%` of the connection). SQLite counts the steps of its virtual machine, of which
/// each row takes the same number in the same statement: they are held against those of a user who owns nothing but
/// what the page shows, in a database where nothing else is, so that no other row can be looked at.
@Suite("Rows examined") struct RowsExaminedTests {
    @Test(arguments: TestedDatabase.allCases)
    func aPageCostsWhatItShowsHoweverMuchAUserHas(_ tested: TestedDatabase) async throws {
        try await tested.fixture().with { database in
            let user = try await BusyUser.make(in: database)
            let least = try await leastCosts(database)
            for (index, cost) in try await RowCounter.costs(user, database).enumerated() {
                #expect(cost.returned > 0, "\(cost.what)")
                let most =
                    least.map { 2 * $0[index].examined * cost.returned / $0[index].returned } ?? 2 * cost.returned
                #expect(cost.examined <= most, "\(cost.what): \(cost.examined) for \(cost.returned), at most \(most)")
            }
        }
    }

    /// What the same pages cost in a database that holds nothing else; nil where rows are counted.
    private func leastCosts(_ database: any Database) async throws -> [RowCounter.Cost]? {
        guard database.dialect == .sqlite else { return nil }
        return try await SQLiteFixture().with { database in
            let active = try await RowCounter.costs(BusyUser.make(in: database, sessions: 50, deletes: .none), database)
            return try await SQLiteFixture().with { database in
                let user = try await BusyUser.make(in: database, sessions: 50, deletes: .all)
                let deleted = try await RowCounter.costs(user, database)
                return zip(active, deleted).map { $0.returned > 0 ? $0 : $1 }
            }
        }
    }

    @Test(arguments: TestedDatabase.allCases)
    func whoOwnsNothingCostsNothing(_ tested: TestedDatabase) async throws {
        try await tested.fixture().with { database in
            _ = try await BusyUser.make(in: database)
            let nobody = try await RowCounter.costs(BusyUser(), database)
            #expect(nobody.allSatisfy { $0.returned == 0 })
            guard database.dialect == .sqlite else {
                // A look into an index for each statement, and not a row.
                for cost in nobody { #expect(cost.examined <= 4, "\(cost.what): \(cost.examined)") }
                return
            }
            let alone = try await SQLiteFixture().with { database in
                _ = try await BusyUser.make(in: database, sessions: 0, deletes: .none)
                return try await RowCounter.costs(BusyUser(), database)
            }
            // As much as in an empty database: not a row more.
            #expect(nobody.map(\.examined) == alone.map(\.examined))
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
    /// Which sessions are deleted.
    enum Deletes { case none, everySeventh, all }

    static let messages = 50
    let id = UniqueID.generate()

    /// One of its sessions, by number.
    func session(_ number: Int) -> SessionKey {
        let digits = String(number)
        let name = String(repeating: "0", count: 16 - digits.count) + digits
        guard let id = UniqueID(bytes: Array(name.utf8)) else { preconditionFailure("16 digits are an id") }
        return SessionKey(owner: self.id, session: id)
    }

    static func make(
        in database: any Database, sessions: Int = 1_000, deletes: Deletes = .everySeventh
    ) async throws -> BusyUser {
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
                1000 * s.seq, CASE WHEN s.seq % 10 = 0 THEN 1 ELSE 0 END, CASE WHEN s.seq % 7 = 0 AND \(deletes != .none) OR \(deletes == .all) THEN 5 + s.seq END \
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
            ConversationSQL.page(of: user.id, page, groups: false, at: Timestamp(microseconds: 1)),
            ConversationSQL.page(of: user.id, next, groups: true, at: Timestamp(microseconds: 1)),
            ConversationSQL.session(user.session(1)),
            ConversationSQL.deletedPage(of: user.id, page),
            ConversationSQL.messages(user.session(1), messages), ConversationSQL.total(user.session(1), messages),
            ConversationSQL.total(of: user.id, includesGroups: false),
            ConversationSQL.expired(of: user.id, at: Timestamp(microseconds: 1), limit: 1),
            ConversationSQL.searchedSessions(of: user.id, from: nil, groups: false),
            ConversationSQL.places(of: user.id, after: nil, groups: true, limit: 9, at: nil),
            ConversationSQL.some(of: user.id, .condemned, limit: 9),
        ]
    }
}

/// What reads cost a database: rows on MariaDB, steps of the virtual machine on SQLite.
private enum RowCounter {
    struct Cost: Sendable {
        let what: String
        let returned: Int
        let examined: Int
    }

    private typealias Read = @Sendable (ConversationReader) throws -> Int

    static func costs(_ user: BusyUser, _ database: any Database) async throws -> [Cost] {
        var last = MessageQuery(limit: 50)
        last.order = .newestFirst
        let session = user.session(1)
        let reads: [(String, Read)] = [
            ("a list", { try list(of: user, SessionFilter(includesGroups: false), $0) }),
            ("a list with groups", { try list(of: user, SessionFilter(), $0) }),
            ("a list of deleted ones", { try deleted(of: user, 50, after: nil, $0).count }),
            (
                "its third page by cursor",
                { reader in
                    let first = try deleted(of: user, 100, after: nil, reader)
                    let cursor = first.last.map(SessionCursor.init)
                    return try first.count + deleted(of: user, 20, after: cursor, reader).count
                }
            ),
            ("a session", { try $0.session(session) == nil ? 0 : 1 }),
            ("the last 50 messages", { [last] in try $0.messages(of: session, last).elements.count }),
        ]
        var costs: [Cost] = []
        for (what, read) in reads {
            let (returned, examined) = try await examined(database, read)
            costs.append(Cost(what: what, returned: returned, examined: examined))
        }
        return costs
    }

    /// As the API does it: what has expired is looked for first.
    private static func list(of user: BusyUser, _ filter: SessionFilter, _ reader: ConversationReader) throws -> Int {
        _ = try reader.connection.first(ConversationSQL.expired(of: user.id, at: reader.now, limit: 1)) { _ in true }
        return try reader.sessions(of: user.id, filter, limit: 50).elements.count
    }

    private static func deleted(
        of user: BusyUser, _ limit: Int, after cursor: SessionCursor?, _ reader: ConversationReader
    ) throws -> [Session] {
        var query = SessionQuery(limit: limit, after: cursor)
        query.filter.isDeleted = true
        return try reader.sessions(of: user.id, query).elements
    }

    private static func examined(
        _ database: any Database, _ read: @escaping Read
    ) async throws -> (returned: Int, examined: Int) {
        let steps = (database as? SQLiteDatabase)?.steps ?? 0
        let (returned, rows) = try await database.read { connection in
            let before = try handlerReads(connection)
            let none = try handlerReads(connection) - before
            let returned = try read(ConversationReader(connection, at: Expiry(at: Timestamp(microseconds: 1))))
            return (returned, try handlerReads(connection) - before - 2 * none)
        }
        guard let database = database as? SQLiteDatabase else { return (returned, rows) }
        return (returned, database.steps - steps)
    }

    private static func handlerReads(_ connection: any Connection) throws -> Int {
        guard connection.dialect == .mariadb else { return 0 }
        return try connection.rows("SHOW SESSION STATUS LIKE 'Handler_read%'") { row in
            Int(try row.value(1, as: String.self)) ?? 0
        }.reduce(0, +)
    }
}

/// Two kinds in one order, each read in batches.
@Suite("Newest first") struct NewestFirstTests {
    @Test(arguments: [1, 3, 8])
    func readsNothingTwiceAndLittleThatIsNotTaken(_ batch: Int) throws {
        let owners = (0..<60).map {
            SessionCursor(lastMessageAt: Timestamp(microseconds: $0 / 3), session: .generate())
        }
        let newest = owners.sorted { $1.isBehind($0) }
        var read: [SessionCursor] = []
        var list = NewestFirst<SessionCursor>(after: nil, includesGroups: true, batch: batch, place: \.self) {
            groups, cursor, limit in
            let kind = newest.enumerated().filter { ($0.offset % 2 == 0) == groups }.map(\.element)
            let found = kind.filter { element in cursor.map { element.isBehind($0) } ?? true }.prefix(limit)
            read += found
            return Array(found)
        }
        for (index, expected) in newest.enumerated() {
            #expect(try list.next() == expected)
            #expect(Set(read.map(\.session)).count == read.count && read.count <= index + 1 + 2 * batch)
        }
        #expect(try list.next() == nil)
    }
}
