import Logging
import NIOCore
import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import AuthPlugin

/// The previous release goes on beside the new one: its statements, frozen here as they were released, on the newest
/// schema.
@Suite struct AuthSchemaTests {
    private static let firstUser = UniqueID.generate()
    private static let firstKey = UniqueID.generate()
    private static let hash = ByteBuffer(repeating: 7, count: 32)

    @Test(arguments: TestedDatabase.allCases)
    func whatTheFirstReleaseWritesIsReadByThisOne(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        try await insertAsReleased(bench)
        let user = try #require(try await bench.store.findUser(named: "alice"))
        #expect(user.id == Self.firstUser)
        let key = try #require(try await bench.store.listKeys(of: user.id).first)
        #expect(key.id == Self.firstKey && key.name == "laptop" && key.scopes == .chat && key.revoked == nil)
        // Its revocations are seen too, and that something changed.
        let before = try await generation(bench)
        try await bench.file.write { connection in
            try connection.execute(
                """
                UPDATE api_keys SET revoked_us = 5 WHERE user_id = \(Self.firstUser) AND key_id = \(Self.firstKey) \
                AND revoked_us IS NULL
                """)
            _ = try connection.execute("UPDATE changes SET generation = generation + 1 WHERE change_id = 1")
        }
        #expect(try await bench.key(Self.firstKey, of: user.id)?.revoked == Timestamp(microseconds: 5))
        #expect(try await generation(bench) > before)
    }

    @Test(arguments: TestedDatabase.allCases)
    func whatThisReleaseWritesIsReadByTheFirstOne(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (user, key) = try await bench.user("bob")
        let secret = try bench.keys.load()
        var text = key.secret.reveal()
        let hash = text.withUTF8 { secret.hash(UnsafeRawBufferPointer($0)) }
        let found = try await bench.file.read { connection in
            try connection.first(
                """
                SELECT k.key_hash, k.user_id, u.name, k.key_id, k.name, k.scopes, k.expires_us, k.revoked_us \
                FROM api_keys k JOIN users u ON u.user_id = k.user_id WHERE k.key_hash IN (\(list: [hash]))
                """
            ) { row in
                Principal(
                    userID: try row.value(1), userName: try row.value(2), keyID: try row.value(3),
                    keyName: try row.value(4), scopes: Scopes(rawValue: try row.value(5)))
            }
        }
        #expect(found?.userID == user.id && found?.userName == "bob" && found?.keyID == key.info.id)
        #expect(found?.keyName == "laptop" && found?.scopes == key.info.scopes)
    }

    @Test func theMigrationsAreAsTheyWereReleased() {
        let released: [(sqlite: UInt64, mariadb: UInt64)] = [
            (293_504_717_232_275_570, 1_739_780_557_646_231_763),
            (13_980_827_386_819_206_395, 11_590_361_219_950_924_019),
        ]
        #expect(AuthMigrations.all.count == released.count)
        for (migration, expected) in zip(AuthMigrations.all, released) {
            #expect(migration.fingerprint(.sqlite) == expected.sqlite, "\(migration.number)")
            #expect(migration.fingerprint(.mariadb) == expected.mariadb, "\(migration.number)")
        }
    }

    private func generation(_ bench: AuthBench) async throws -> Int64 {
        try await KeyLookup(database: bench.file, hashKeys: bench.keys).generation()
    }

    /// A user with a key, by the statements of the first release.
    private func insertAsReleased(_ bench: AuthBench) async throws {
        try await bench.file.write { connection in
            try connection.execute(
                """
                INSERT INTO users (user_id, name, created_us) VALUES (\(Self.firstUser), 'alice', 1) \
                \(raw: connection.dialect.orIgnore("user_id"))
                """)
            try connection.execute(
                """
                INSERT INTO api_keys (key_hash, hash_key_id, key_id, user_id, name, prefix, scopes, created_us, \
                expires_us) VALUES (\(Self.hash), 'default', \(Self.firstKey), \(Self.firstUser), 'laptop', \
                'tp-12345678', \(Scopes.chat.rawValue), 1, NULL)
                """)
            _ = try connection.execute("UPDATE changes SET generation = generation + 1 WHERE change_id = 1")
        }
    }
}
