import Logging
import NIOCore
import Persistence
import Testing
import TurnpikeTesting

@testable import Conversations

/// The previous release goes on beside the new one: its statements, frozen here as they were released, on every schema
/// from the first one on.
@Suite("The schema of conversations", .serialized) struct SchemaTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Every way from an earlier schema to the newest: how many migrations of each component were there before.
    private static let earlier = Array(1..<ConversationStore.migrations.count)

    @Test(arguments: earlier, TestedDatabase.allCases)
    func whatAnEarlierSchemaHoldsIsReadByThisOne(_ count: Int, _ tested: TestedDatabase) async throws {
        try await tested.fixture().with { database in
            try await migrate(database, to: count)
            let key = SessionKey(owner: .generate(), session: .generate())
            try await insertAsReleased(key, turn: .generate(), firstSeq: 1, into: database)
            try await migrate(database, to: .max)
            let store = ConversationStore(database: database)
            let session = try #require(try await store.session(SessionReference(key.session), of: key.owner))
            #expect(session.nextSeq == 3)
            let messages = try await store.read { try $0.messages(of: key, in: 0..<Int64.max) }
            #expect(messages.map { String(buffer: $0.body) } == [#"{"n":1}"#, #"{"n":2}"#])
        }
    }

    @Test(arguments: TestedDatabase.allCases)
    func theFirstReleaseGoesOnOnTheNewestSchema(_ tested: TestedDatabase) async throws {
        try await tested.fixture().with { database in
            try await migrate(database, to: .max)
            let key = SessionKey(owner: .generate(), session: .generate())
            try await insertAsReleased(key, turn: .generate(), firstSeq: 1, into: database)
            let store = ConversationStore(database: database)
            try await append(to: key, store)
            // What the new release has written, the first one reads; and the other way round.
            let bodies = try await database.read { connection in
                try connection.rows(
                    """
                    SELECT seq, turn_id, role, digest, digest_version, tokens, chapter, citations, superseded_by_seq, \
                    created_us, body FROM messages WHERE user_id = \(key.owner) AND session_id = \(key.session) \
                    AND superseded_by_seq IS NULL ORDER BY seq
                    """
                ) { try $0.value(10, as: ByteBuffer.self) }
            }
            #expect(bodies.map { String(buffer: $0) } == [#"{"n":1}"#, #"{"n":2}"#, #"{"n":3}"#])
            let session = try #require(try await store.session(SessionReference(key.session), of: key.owner))
            #expect(session.counters.messages == 3)
        }
    }

    /// MariaDB commits each statement of a change by itself, so a process that dies leaves half of one. Each attempt breaks
    /// off three statements later than the one before it, on what that left behind.
    @Test(arguments: TestedDatabase.allCases)
    func migrationsThatBreakOffAtAnyStatementAreFinishedByALaterOne(_ tested: TestedDatabase) async throws {
        try await tested.fixture().with { database in
            let faulty = FaultyDatabase(database)
            var failures = 0
            repeat {
                // Behind the first look, whose failure is not noticed: tables that cannot be read are made.
                faulty.fail(atStep: 1 + 3 * failures, with: .refuse)
                do {
                    // What is left behind may be the lease itself, which is then waited for.
                    let lease = MigrationLease(duration: .seconds(3))
                    let migrator = Migrator(ConversationStore.migrations, logger: Self.logger, lease: lease)
                    try await migrator.migrate(faulty)
                } catch is DatabaseError {
                    failures += 1
                }
            } while !faulty.withdraw()
            #expect(failures > 3)
            let key = SessionKey(owner: .generate(), session: .generate())
            try await insertAsReleased(key, turn: .generate(), firstSeq: 1, into: database)
            let store = ConversationStore(database: database)
            try await append(to: key, store)
            #expect(try await store.read { try $0.messages(of: key, in: 0..<Int64.max) }.count == 3)
            _ = try await store.create(SessionDraft(owner: key.owner))
        }
    }

    /// Migrations are append-only: a database that has one never sees it again.
    @Test func theMigrationsAreAsTheyWereReleased() {
        let released: [(name: String, sqlite: UInt64, mariadb: UInt64)] = [
            ("conversations 1", 3_939_981_285_783_699_591, 16_006_270_565_945_560_360),
            ("conversations 2", 13_024_889_012_005_220_566, 3_713_640_852_496_304_328),
            ("sessions 1", 18_255_854_064_228_935_507, 15_484_880_251_431_808_490),
            ("sessions 2", 8_423_661_189_636_256_533, 7_444_360_878_452_641_372),
        ]
        let migrations = Dictionary(
            uniqueKeysWithValues: ConversationStore.migrations.map { ("\($0.component) \($0.number)", $0) })
        #expect(migrations.keys.sorted() == released.map(\.name))
        for (name, sqlite, mariadb) in released {
            #expect(migrations[name]?.fingerprint(.sqlite) == sqlite, "\(name)")
            #expect(migrations[name]?.fingerprint(.mariadb) == mariadb, "\(name)")
        }
    }

    /// Applies the first `count` migrations, in the order in which they are listed.
    private func migrate(_ database: any Database, to count: Int) async throws {
        let list = Array(ConversationStore.migrations.prefix(min(count, ConversationStore.migrations.count)))
        _ = try await Migrator(list, logger: Self.logger).migrate(database)
    }

    private func append(to key: SessionKey, _ store: ConversationStore) async throws {
        _ = try await store.append(turn(key))
    }

    private func turn(_ key: SessionKey) throws -> TurnDraft {
        let digest = try #require(StoredDigest(bytes: Array(repeating: 1, count: 32)))
        return TurnDraft(
            key: key, baseSeq: 3, requestDigest: digest,
            messages: [NewMessage(role: .user, body: ByteBuffer(string: #"{"n":3}"#), digest: digest, tokens: 1)])
    }

    /// A session with a turn of two messages, by the statements of the first release.
    private func insertAsReleased(
        _ key: SessionKey, turn: UniqueID, firstSeq: Int64, into database: any Database
    ) async throws {
        let digest = ByteBuffer(repeating: 7, count: 32)
        try await database.write { connection in
            try connection.execute(
                """
                INSERT INTO sessions (user_id, session_id, external_id, agent_id, external_conv_id, is_group, group_name, \
                participant_id, peer_agent_id, title, source_channel, provider, model, max_history, history_mode, \
                truncation, metadata, system_digest, next_seq, context_start_seq, version, last_turn_id, last_turn_seq, \
                last_turn_base, last_turn_digest, message_count, turn_count, prompt_tokens, completion_tokens, \
                created_us, updated_us, last_message_at) VALUES (\(key.owner), \(key.session), NULL, '', NULL, 0, NULL, \
                NULL, NULL, 'a title', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, 0, 1, NULL, NULL, NULL, NULL, \
                0, 0, 0, 0, 1, 1, 1) \(raw: connection.dialect.orIgnore("user_id"))
                """)
            try connection.execute(
                BulkStatement(
                    insertInto: "messages",
                    [
                        "user_id", "session_id", "seq", "turn_id", "role", "digest", "digest_version", "tokens",
                        "created_us", "chapter", "citations", "body",
                    ]),
                rows: (0..<2).flatMap { index -> [SQLValue] in
                    [
                        .id(key.owner), .id(key.session), .integer(firstSeq + index), .id(turn), .integer(1 + index),
                        .blob(digest), .integer(1), .null, .integer(1), .null, .null,
                        .blob(ByteBuffer(string: #"{"n":\#(firstSeq + index)}"#)),
                    ]
                })
            try connection.execute(
                """
                INSERT INTO turns (user_id, session_id, turn_id, first_seq, message_count, base_seq, request_digest, \
                status, model, provider, prompt_tokens, completion_tokens, created_us) VALUES (\(key.owner), \
                \(key.session), \(turn), \(firstSeq), 2, 1, \(digest), 'complete', 'm', 'p', NULL, NULL, 1)
                """)
            try connection.execute(
                """
                UPDATE sessions SET next_seq = 3, context_start_seq = 0, version = 2, last_turn_id = \(turn), \
                last_turn_seq = \(firstSeq), last_turn_base = 1, last_turn_digest = \(digest), message_count = 2, \
                turn_count = 1, prompt_tokens = 0, completion_tokens = 0, system_digest = NULL, updated_us = 2, \
                last_message_at = 2 WHERE user_id = \(key.owner) AND session_id = \(key.session)
                """)
        }
    }
}
