import NIOCore
import Persistence
import Synchronization
import Testing

@testable import Conversations
@testable import TurnpikeTesting

/// An operator's KILL QUERY while batches of turns are written that go by memory: the server may leave out rows of an
/// UPDATE and say that all is well.
@Suite("Killed batches", .timeLimit(.minutes(5))) struct KilledBatchTests {
    private static let sessions = 12
    private static let rounds = 6

    @Test func aBatchThatIsKilledStoresEachOfItsTurnsOnceAndInOrder() async throws {
        let fixture = MariaDBFixture()
        try await fixture.with { database in
            try await Migrator(ConversationStore.migrations, logger: SpoolFixture.logger).migrate(database)
            let watched = WatchedDatabase(database)
            let store = ConversationStore(database: watched, durability: nil, cacheLimit: 1 << 20)
            let end = End()
            defer { end.hasCome.store(true, ordering: .relaxed) }
            let killing = Task { try await fixture.with { try await Self.killAll($0, until: end) } }
            var keys: [SessionKey] = []
            // Until a batch was hit that had asked for nothing: of sessions that are new, because behind some kills memory has
            // none of them any more.
            let interrupted = watched.interrupted
            while watched.interrupted == interrupted, !Task.isCancelled {
                let new = try await makeSessions(store)
                try await converse(new, store)
                keys += new
            }
            #expect(watched.interrupted > interrupted)
            end.hasCome.store(true, ordering: .relaxed)
            try await killing.value
            for key in keys { try await verify(key, store) }
        }
    }

    private final class End: Sendable {
        let hasCome = Atomic(false)
    }

    /// Kills every statement that runs in the database, again and again.
    private static func killAll(_ database: any Database, until end: End) async throws {
        while !end.hasCome.load(ordering: .relaxed) {
            let running: SQL = """
                SELECT id FROM information_schema.processlist \
                WHERE db = DATABASE() AND id <> CONNECTION_ID() AND command <> 'Sleep'
                """
            let ids = try await answered {
                try await database.read { try $0.rows(running) { try $0.value(0, as: Int64.self) } }
            }
            for id in ids { try? await database.read { _ = try $0.execute("KILL QUERY \(raw: String(id))") } }
        }
    }

    private func makeSessions(_ store: ConversationStore) async throws -> [SessionKey] {
        var keys: [SessionKey] = []
        for _ in 0..<Self.sessions {
            keys.append(try await Self.answered { try await store.create(SessionDraft(owner: .generate())) }.key)
        }
        return keys
    }

    /// Turns of many sessions at once, each repeated until it is stored.
    private func converse(_ keys: [SessionKey], _ store: ConversationStore) async throws {
        try await withThrowingTaskGroup { group in
            for key in keys {
                group.addTask { for round in 0..<Self.rounds { try await Self.append(round, key, store) } }
            }
            try await group.waitForAll()
        }
    }

    private static func append(_ round: Int, _ key: SessionKey, _ store: ConversationStore) async throws {
        let digest = try #require(StoredDigest(bytes: Array(repeating: UInt8(truncatingIfNeeded: round), count: 32)))
        let body = ByteBuffer(string: #"{"content":"\#(round)"}"#)
        let turn = TurnDraft(
            key: key, baseSeq: Int64(2 * round + 1), requestDigest: digest,
            messages: [.user, .assistant].map { NewMessage(role: $0, body: body, digest: digest) })
        switch try await answered({ try await store.append(turn) }) {
        case .stored(let stored): #expect(stored.firstSeq == turn.baseSeq)
        case .alreadyStored(let firstSeq): #expect(firstSeq == turn.baseSeq)
        case .sessionDeleted, .changedByOthers, .spooled: Issue.record("not stored")
        }
    }

    /// Tries again until nobody is in the way. Behind a kill that hit a connection while it was made all are refused at once
    /// for up to a second, so attempts are not counted.
    private static func answered<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        while true {
            do { return try await body() } catch let error as DatabaseError where error.failure != .data {}
            await Task.yield()
        }
    }

    private func verify(_ key: SessionKey, _ store: ConversationStore) async throws {
        let (messages, session) = try await Self.answered {
            try await store.read { (try $0.messages(of: key, in: 0..<Int64.max), try $0.session(key)) }
        }
        #expect(messages.map(\.seq) == (1...Int64(2 * Self.rounds)).map { $0 })
        #expect(session?.nextSeq == Int64(2 * Self.rounds + 1))
        #expect(session?.version == Int64(Self.rounds + 1))
        #expect(session?.counters.turns == Int64(Self.rounds))
    }
}
