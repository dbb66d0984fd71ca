import Conversations
import NIOCore
import Persistence
import PersistenceMariaDB
import Testing
import TurnpikeTesting

/// A server that dies, hangs, and comes back. One of its own, because the others' tests go on.
@Suite("MariaDB: outages", .serialized, .timeLimit(.minutes(2))) struct MariaDBOutageTests {
    @Test func afterAKillInATransactionEverythingGoesOnWithoutARestart() async throws {
        let server = try await MariaDBServer.blocking { try MariaDBServer() }
        try await MariaDBFixture(on: server).with { database in
            try await database.createNumbers()
            for number in 1...5 { try await database.insertNumber(number) }
            let error = await #expect(throws: DatabaseError.self) {
                try await database.write { connection in
                    try connection.execute("INSERT INTO numbers (number) VALUES (6)")
                    try server.kill()
                    try connection.execute("INSERT INTO numbers (number) VALUES (7)")
                }
            }
            #expect(error?.failure == .unavailable)
            // Nobody waits for a server that is away.
            for _ in 0..<200 { await #expect(throws: DatabaseError.self) { _ = try await database.countNumbers() } }
            try await MariaDBServer.blocking { try server.start() }
            try await eventually("reads go on") { try await database.countNumbers() == 5 }
            try await database.insertNumber(6)
            #expect(try await database.countNumbers() == 6)
        }
    }

    @Test func turnsThatWereAcknowledgedSurviveAKillUnderLoad() async throws {
        let server = try await MariaDBServer.blocking { try MariaDBServer() }
        try await MariaDBFixture(on: server).with { database in
            try await Migrator(ConversationStore.migrations, logger: silence).migrate(database)
            let store = ConversationStore(database: database)
            let session = try await store.create(SessionDraft(owner: .generate()))
            let load = Task { try await Self.appendUntilItFails(store, session.key) }
            try await eventually("turns are stored") {
                try await store.read { try $0.session(session.key)?.nextSeq ?? 0 } > 200
            }
            try server.kill()
            let (acknowledged, failed) = try await load.value
            try await MariaDBServer.blocking { try server.start() }
            try await eventually("reads go on") { try await store.read { try $0.session(session.key) } != nil }
            // Who got an error tries again with the same draft.
            for draft in failed { _ = try await store.append(draft) }
            let messages = try await store.read { try $0.messages(of: session.key, in: 0..<Int64.max) }
            let turns = messages.map(\.outline.turnID)
            #expect(Set(turns) == acknowledged.union(failed.map(\.id)))
            #expect(turns.count == Set(turns).count)
            #expect(messages.map(\.seq) == Array(1...Int64(messages.count)))
        }
    }

    private static func appendUntilItFails(
        _ store: ConversationStore, _ key: SessionKey
    ) async throws -> (acknowledged: Set<UniqueID>, failed: [TurnDraft]) {
        try await withThrowingTaskGroup(of: ([UniqueID], TurnDraft?).self) { group in
            for _ in 0..<16 {
                group.addTask {
                    var acknowledged: [UniqueID] = []
                    while true {
                        let draft = turn(key)
                        do { _ = try await store.append(draft) } catch is DatabaseError { return (acknowledged, draft) }
                        acknowledged.append(draft.id)
                    }
                }
            }
            var all: Set<UniqueID> = []
            var failed: [TurnDraft] = []
            for try await (acknowledged, draft) in group {
                all.formUnion(acknowledged)
                if let draft { failed.append(draft) }
            }
            return (all, failed)
        }
    }

    private static func turn(_ key: SessionKey) -> TurnDraft {
        let digest = StoredDigest(bytes: Array(repeating: 7, count: 32))
        guard let digest else { preconditionFailure("32 bytes are a digest") }
        return TurnDraft(
            key: key, baseSeq: 1, requestDigest: digest,
            messages: [NewMessage(role: .user, body: ByteBuffer(string: "{}"), digest: digest, tokens: 1)])
    }

    @Test func aCommitThatHappenedWithoutAnAnswerIsFoundAndNotDoneAgain() async throws {
        let fixture = MariaDBFixture()
        var address = try await fixture.address()
        let cutter = try CommitCutter(before: fixture.server.socket)
        address.place = .socket(cutter.path)
        try await with(address) { database in
            try await Migrator(ConversationStore.migrations, logger: silence).migrate(database)
            let store = ConversationStore(database: database)
            let session = try await store.create(SessionDraft(owner: .generate()))
            cutter.cut(1)
            let outcome = try await store.append(Self.turn(session.key))
            #expect(outcome == .alreadyStored(firstSeq: 1))
            #expect(cutter.cutsLeft == 0)
            cutter.cut(1)
            // Without a way to recognise itself a transaction is not done again.
            let error = await #expect(throws: DatabaseError.self) {
                try await database.write { try $0.execute("DO 1") }
            }
            #expect(error?.failure == .unknownAtCommit)
            #expect(try await store.read { try $0.session(session.key)?.nextSeq } == 2)
        }
    }

    @Test func aServerThatSaysNothingIsGivenUpAfterAWhile() async throws {
        let server = try await MariaDBServer.blocking { try MariaDBServer() }
        let fixture = MariaDBFixture(on: server)
        var address = try await fixture.address()
        address.statementTimeout = .seconds(1)
        address.connectTimeout = .seconds(1)
        try await with(address) { database in
            #expect(try await database.number("SELECT 1") == 1)
            try server.pause()
            // A signal takes a moment to arrive.
            await #expect(throws: DatabaseError.self) {
                while try await database.number("SELECT 1") == 1 {}
            }
            try server.resume()
            try await eventually("reads go on") { try await database.number("SELECT 1") == 1 }
        }
    }
}
