import Logging
import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import ActivityPlugin

/// The previous release goes on beside the new one: its statements, frozen here as they were released, on every schema
/// from the first one on.
@Suite struct ActivitySchemaTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private static let user = UniqueID.generate()
    /// The columns of the first release.
    private static let columns = """
        created_us, activity_id, user_id, key_id, session_id, method, path, endpoint, requested_model, provider, model, \
        status, upstream_status, ending, error_code, streamed, prompt_tokens, completion_tokens, total_tokens, \
        cached_tokens, reasoning_tokens, request_bytes, response_bytes, first_byte_us, total_us, flags, capture_status
        """

    @Test(arguments: 1...ActivityMigrations.all.count, TestedDatabase.allCases)
    func whatTheFirstReleaseWritesIsReadByThisOne(_ version: Int, _ tested: TestedDatabase) async throws {
        try await tested.fixture().with { database in
            let early = Array(ActivityMigrations.all.prefix(version))
            _ = try await Migrator(early, logger: Self.logger).migrate(database)
            try await insertAsReleased(at: 1, into: database)
            _ = try await Migrator(ActivityMigrations.all, logger: Self.logger).migrate(database)
            try await insertAsReleased(at: 2, into: database)
            let rows = try await ActivityLog(database: database).entries(of: Self.user, before: nil, limit: 10).rows
            #expect(rows.map(\.created.microseconds) == [2, 1])
            #expect(rows.allSatisfy { $0.path == "/v1/models" && $0.requests == 1 && $0.cost == nil })
        }
    }

    @Test(arguments: TestedDatabase.allCases)
    func whatThisReleaseWritesIsReadByTheFirstOne(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        try await bench.chat(as: bench.alice, tokens: 3)
        await bench.plugin.recorder.drain()
        let tokens = try await bench.database.read { connection in
            try connection.rows(
                "SELECT \(raw: Self.columns) FROM activity WHERE user_id = \(bench.alice.userID) ORDER BY created_us"
            ) { try $0.value(18, as: Int64.self) }
        }
        #expect(tokens == [6])
    }

    @Test func theMigrationsAreAsTheyWereReleased() {
        let released: [(sqlite: UInt64, mariadb: UInt64)] = [
            (9_217_190_018_560_549_674, 2_022_596_603_639_599_667),
            (14_695_981_039_346_656_037, 13_846_844_140_070_667_230),
            (9_550_582_144_755_688_659, 1_190_745_713_685_752_132),
            (16_190_520_096_600_514_795, 10_878_596_829_718_818_206),
            (18_083_907_370_238_562_823, 862_408_516_753_952_010),
        ]
        #expect(ActivityMigrations.all.count == released.count)
        for (migration, expected) in zip(ActivityMigrations.all, released) {
            #expect(migration.fingerprint(.sqlite) == expected.sqlite, "\(migration.number)")
            #expect(migration.fingerprint(.mariadb) == expected.mariadb, "\(migration.number)")
        }
    }

    /// A row by the statement of the first release.
    private func insertAsReleased(at time: Int64, into database: any Database) async throws {
        try await database.write { connection in
            _ = try connection.execute(
                """
                INSERT INTO activity (\(raw: Self.columns)) VALUES (\(time), \(UniqueID.generate()), \(Self.user), NULL, \
                NULL, 'GET', '/v1/models', NULL, NULL, NULL, NULL, 200, NULL, 'completed', NULL, 0, NULL, NULL, NULL, \
                NULL, NULL, 0, 10, NULL, 5, '', NULL) \(raw: connection.dialect.orIgnore("activity_id"))
                """)
        }
    }
}
