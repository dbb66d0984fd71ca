import Logging
import NIOHTTP1
import NIOPosix
import Persistence
import Synchronization
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import Conversations

/// What becomes of turns that went by memory, and of the belief when something went wrong.
@Suite struct BelievedMemoryTests {
    /// A process that believes its memory, with a session.
    private static func withBelief(
        _ durability: Durability? = nil,
        _ body: (FaultyDatabase, SoleUse, ConversationStore, Session) async throws -> Void
    ) async throws {
        try await SQLiteFixture().with { base in
            let database = FaultyDatabase(base)
            _ = try await Migrator(ConversationStore.migrations, logger: Logger(label: "test")).migrate(database)
            let site = SoleUseSite(database)
            let process = site.process(.always)
            let store = ConversationStore(
                database: database, durability: durability, cacheLimit: 1 << 20, soleUse: process)
            let session = try await store.create(SessionDraft(owner: .generate(), externalID: "s"))
            _ = try await process.look()
            site.wait(5)
            _ = try await process.look()
            #expect(process.isInForce)
            // What memory has from before is asked for once.
            _ = try await store.sessionOfExchange(SessionReference("s"), of: session.key.owner)
            try await body(database, process, store, session)
        }
    }

    /// A turn on a premise that nobody else has changed.
    private static func expectStored(_ turn: TurnDraft, on premise: Premise, in store: ConversationStore) async throws {
        var turn = turn
        turn.premise = premise
        if case .stored = try await store.append(turn) { return }
        Issue.record("what this process did was taken for somebody else's")
    }

    @Test func anExchangeThatHadToAskHasNoPremiseAlthoughItHadOneBefore() async throws {
        try await Self.withBelief { _, process, store, session in
            let exchange = Exchange(
                head: RequestHead(method: .POST, target: "/v1/chat/completions", headers: [:]),
                eventLoop: MultiThreadedEventLoopGroup.singleton.next(), logger: Logger(label: "test"))
            for isInForce in [true, false] {
                let found = try await store.sessionOfExchange(
                    SessionReference("s"), of: session.key.owner, in: exchange)
                #expect(found?.key == session.key)
                #expect((store.premise(of: exchange) != nil) == isInForce)
                process.suspend()
            }
        }
    }

    @Test func aTurnThatWasStoredFromTheSpoolIsItsOwn() async throws {
        let disk = SimulatedDisk()
        var settings = SpoolSettings(directory: "/spool")
        settings.commitDeadline = .seconds(60)
        let durability = try Durability(settings, on: disk, logger: SpoolFixture.logger)
        try await Self.withBelief(durability) { database, process, store, session in
            let (_, premise) = try #require(store.believed(SessionReference("s"), of: session.key.owner))
            database.fail(atStep: 0, with: .unavailable)
            #expect(try await store.append(SpoolFixture.turn("1", after: session)) == .spooled)
            #expect(database.withdraw() == false)
            durability.writes.noteAnswer()
            #expect(try await store.drainSpool(logger: SpoolFixture.logger) == 1)
            try await Self.expectStored(SpoolFixture.turn("2", after: session), on: premise, in: store)
            #expect(process.isInForce)
        }
        await durability.close()
    }

    @Test func aTurnThatWasFoundStoredIsItsOwn() async throws {
        try await Self.withBelief { database, process, store, session in
            let (_, premise) = try #require(store.believed(SessionReference("s"), of: session.key.owner))
            let lost = SpoolFixture.turn("1", after: session)
            database.failNextCommit(.happened)
            var outcome = try? await store.append(lost)
            if outcome == nil { outcome = try await store.append(lost) }
            #expect(outcome == .alreadyStored(firstSeq: 1))
            try await Self.expectStored(SpoolFixture.turn("2", after: session), on: premise, in: store)
        }
    }

    @Test func aChangeWhoseCommitGotNoAnswerSuspendsIt() async throws {
        try await Self.withBelief { database, process, store, session in
            let (_, premise) = try #require(store.believed(SessionReference("s"), of: session.key.owner))
            database.failNextCommit(.happened)
            await #expect(throws: DatabaseError.self) {
                _ = try await store.update(session.key) { $0.maxHistory = 1 }
            }
            #expect(!process.isInForce)
            // What it may have changed is its own.
            try await Self.expectStored(SpoolFixture.turn("1", after: session), on: premise, in: store)
        }
    }

    @Test func aChangeOfAChoreWhoseCommitGotNoAnswerSuspendsItToo() async throws {
        try await Self.withBelief { database, process, store, session in
            let remove: @Sendable (any Connection) throws -> Void = {
                _ = try SessionRemoval.delete(session.key, $0, at: .now())
            }
            database.fail(atStep: 0, with: .data)
            await #expect(throws: DatabaseError.self) {
                try await store.writePatiently(changing: .session(session.key), remove)
            }
            #expect(process.isInForce, "nothing has happened")
            database.failNextCommit(.happened)
            await #expect(throws: DatabaseError.self) {
                try await store.writePatiently(changing: .session(session.key), remove)
            }
            #expect(!process.isInForce)
        }
    }

    @Test func aChoreThatIsCancelledWhileItsTransactionGoesOnSuspendsIt() async throws {
        try await Self.withBelief { database, process, store, session in
            let gate = Gate()
            defer { gate.open() }
            let chore = Task {
                try await store.writePatiently(changing: .session(session.key)) { _ in gate.pass() }
            }
            await gate.entered()
            chore.cancel()
            await #expect(throws: CancellationError.self) { try await chore.value }
            #expect(!process.isInForce)
        }
    }

    @Test func aTurnThatMayBeStoredSuspendsItAndOneThatIsNotDoesNot() async throws {
        try await Self.withBelief { database, process, store, session in
            let turn = SpoolFixture.turn("1", after: session)
            database.fail(atStep: 0, with: .data)
            await #expect(throws: DatabaseError.self) { _ = try await store.append(turn) }
            #expect(process.isInForce)
            database.fail(atStep: 0, with: .unavailable)
            await #expect(throws: DatabaseError.self) { _ = try await store.append(turn) }
            #expect(!process.isInForce)
        }
    }
}
