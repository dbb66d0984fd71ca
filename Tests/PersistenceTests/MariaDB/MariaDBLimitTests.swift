import NIOCore
import Persistence
import Testing
import TurnpikeTesting

@testable import PersistenceMariaDB

/// Settings of the server: what it takes, and what it should be told. On a server of their own, one after the other.
@Suite("MariaDB: settings of the server", .serialized, .timeLimit(.minutes(2)))
struct MariaDBLimitTests {
    private static let server = Result { try MariaDBServer() }

    private static func fixture() async throws -> MariaDBFixture {
        try await MariaDBServer.blocking { try MariaDBFixture(on: server.get()) }
    }

    private func set(_ setting: String, _ fixture: MariaDBFixture) async throws {
        try await fixture.with { database in
            try await database.read { _ = try $0.execute("SET GLOBAL \(raw: setting)") }
        }
    }

    /// What a process locked that was stopped in its transaction is free again before others have given up.
    @Test func aTransactionInWhichNothingIsDoneIsEnded() async throws {
        let fixture = try await Self.fixture()
        try await fixture.with { try await $0.createNumbers() }
        // What a server has for all sessions does not count.
        try await set("idle_write_transaction_timeout = 60", fixture)
        let address = try await fixture.address()
        var hasty = address
        hasty.statementTimeout = .seconds(1)
        let failure = try await MariaDBServer.blocking { [hasty] in
            let stopped = try Connector(address: hasty) { _ in }.connect(to: 0, for: .writing)
            let other = try Connector(address: address) { _ in }.connect(to: 0, for: .writing)
            try stopped.execute("INSERT INTO numbers (number) VALUES (1)")
            // It waits for the lock, until the server has given that up.
            try other.execute("INSERT INTO numbers (number) VALUES (1)")
            try other.commit()
            do { try stopped.commit() } catch let error as DatabaseError {
                return error.failure as DatabaseError.Failure?
            }
            return nil
        }
        #expect(failure == .retryTransaction || failure == .unknownAtCommit)
    }

    @Test func whatIsBeyondThePacketIsRefusedBeforeItIsSent() async throws {
        let fixture = try await Self.fixture()
        try await set("max_allowed_packet = 2097152", fixture)
        try await fixture.with { database in
            try await database.createNumbers()
            let id = try await database.numberOfWriter("SELECT CONNECTION_ID()")
            let insert: @Sendable (Int, Int) async throws -> Void = { number, count in
                try await database.write { connection in
                    let data = ByteBuffer(repeating: 1, count: count)
                    try connection.execute("INSERT INTO numbers (number, data) VALUES (\(number), \(data))")
                }
            }
            try await insert(1, 1_500_000)
            let error = await #expect(throws: DatabaseError.self) { try await insert(2, 2_097_152) }
            #expect(error?.failure == .data && error?.code == 0)
            #expect(error?.reason.contains("max_allowed_packet") == true)
            // The connection lives, and what was stored can be read.
            #expect(try await database.numberOfWriter("SELECT CONNECTION_ID()") == id)
            #expect(try await database.number("SELECT LENGTH(data) FROM numbers") == 1_500_000)
            #expect((database as? MariaDBDatabase)?.problems.count == 1)
            // Many rows that are more than a packet together.
            let rows = (10..<30).flatMap { index -> [SQLValue] in
                [.integer(Int64(index)), .blob(ByteBuffer(repeating: 2, count: index % 7 == 0 ? 1_200_000 : 300_000))]
            }
            try await database.write { connection in
                try connection.execute(BulkStatement(insertInto: "numbers", ["number", "data"]), rows: rows)
            }
            #expect(try await database.countNumbers() == 21)
        }
        try await set("max_allowed_packet = 67108864", fixture)
    }

    /// A connection keeps the limit that it was made with.
    @Test(arguments: [true, false]) func aLimitThatIsRaisedCountsAtOnce(inBulk: Bool) async throws {
        let fixture = try await Self.fixture()
        try await set("max_allowed_packet = 2097152", fixture)
        try await fixture.with { database in
            try await database.createNumbers()
            let insert: @Sendable () async throws -> Void = {
                try await database.write { connection in
                    let data = ByteBuffer(repeating: 1, count: 3_000_000)
                    guard inBulk else {
                        try connection.execute("INSERT INTO numbers (number, data) VALUES (1, \(data))")
                        return
                    }
                    let statement = BulkStatement(insertInto: "numbers", ["number", "data"])
                    try connection.execute(statement, rows: [.integer(1), .blob(data)])
                }
            }
            let error = await #expect(throws: DatabaseError.self) { try await insert() }
            #expect(error?.failure == .data)
            try await set("max_allowed_packet = 67108864", fixture)
            try await insert()
            #expect(try await database.number("SELECT LENGTH(data) FROM numbers") == 3_000_000)
            #expect((database as? MariaDBDatabase)?.problems == [])
        }
    }

    @Test func aSettingThatBreaksThePromiseIsReportedOnceConnected() async throws {
        let fixture = try await Self.fixture()
        try await set("innodb_flush_log_at_trx_commit = 2", fixture)
        try await with(fixture.address()) { database in
            #expect(database.problems.isEmpty)
            _ = try await database.number("SELECT 1")
            #expect(database.problems.count == 1)
            #expect(database.problems.first?.contains("innodb_flush_log_at_trx_commit") == true)
        }
        try await set("innodb_flush_log_at_trx_commit = 1", fixture)
        try await with(fixture.address()) { database in
            _ = try await database.number("SELECT 1")
            #expect(database.problems.isEmpty)
        }
    }

    @Test func aServerThatIsReadOnlyIsNotUsed() async throws {
        let fixture = try await Self.fixture()
        try await with(fixture.address()) { administrator in
            _ = try await administrator.read { try $0.number("SELECT 1") }
            try await with(fixture.address()) { database in
                try await administrator.read { _ = try $0.execute("SET GLOBAL read_only = ON") }
                let error = await #expect(throws: DatabaseError.self) { try await database.insertNumber(1) }
                #expect(error?.failure == .unavailable)
                try await administrator.read { _ = try $0.execute("SET GLOBAL read_only = OFF") }
                try await eventually("it is used") { try await database.number("SELECT 1") == 1 }
            }
        }
    }

    @Test func preparedStatementsAreBounded() async throws {
        let fixture = try await Self.fixture()
        var address = try await fixture.address()
        address.readers = 1
        try await with(address) { database in
            for index in 0..<300 {
                let sql: SQL = "SELECT \(raw: "\(index)")"
                #expect(try await database.read { try $0.number(sql) } == index)
            }
            let prepared = try await database.read { connection in
                try connection.first("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'") { try Int($0.text(1)) } ?? nil
            }
            #expect((prepared ?? 0) <= 130)
        }
    }

    @Test func sessionsHaveStrictSettings() async throws {
        try await Self.fixture().with { database in
            let found = try await database.write { connection in
                try connection.first(
                    """
                    SELECT @@sql_mode, @@time_zone, @@tx_isolation, @@character_set_client, @@collation_connection, \
                    CAST(@@autocommit AS SIGNED), CAST(@@max_statement_time AS SIGNED)
                    """
                ) { row in
                    "\(try row.text(0)) \(try row.text(1)) \(try row.text(2)) \(try row.text(3)) \(try row.text(4)) "
                        + "\(try row.integer(5)) \(try row.integer(6))"
                }
            }
            #expect(
                found == "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION +00:00 READ-COMMITTED "
                    + "utf8mb4 utf8mb4_nopad_bin 0 10")
        }
    }
}
