import Logging
import NIOHTTP1
import NIOPosix
import Persistence
import Synchronization
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import Conversations

/// Who may believe that nobody else uses the database: at no time a process beside which another one serves.
@Suite struct SoleUseTests {
    /// Processes on one database, and their clock.
    private final class Site: Sendable {
        let database: any Database
        private let milliseconds = Atomic<UInt64>(1_000_000)

        init(_ database: any Database) { self.database = database }

        /// - Parameter other: instead of the database itself.
        func process(_ wish: SoleUse.Wish, on other: (any Database)? = nil) -> SoleUse {
            SoleUse(wish, other ?? database) { [self] in milliseconds.load(ordering: .relaxed) * 1_000_000 }
        }

        func wait(_ seconds: UInt64) { wait(milliseconds: seconds * 1_000) }
        func wait(milliseconds count: UInt64) { milliseconds.add(count, ordering: .relaxed) }
    }

    private static func with(_ body: (Site) async throws -> Void) async throws {
        try await SQLiteFixture().with { (database: any Database) async throws -> Void in
            _ = try await Migrator([], logger: Logger(label: "test")).migrate(database)
            try await body(Site(database))
        }
    }

    @Test func aProcessAloneBelievesItOnceAllOthersHaveLookedAndUntilItIsLateForTheNextLook() async throws {
        try await Self.with { (site: Site) async throws in
            let process = site.process(.always)
            for _ in 0..<2 {
                #expect(try await process.look() == .nothing)
                #expect(!process.isInForce)
                site.wait(1)
            }
            #expect(try await process.look() == .begun)
            #expect(process.isInForce)
            // No longer than who comes waits before it serves.
            site.wait(milliseconds: 1_499)
            #expect(process.isInForce)
            site.wait(milliseconds: 1)
            #expect(!process.isInForce)
            #expect(try await process.look() == .nothing)
            #expect(process.isInForce)
        }
    }

    /// Who looks before that finds nothing, and is there.
    @Test func aClaimCountsFromWhenItIsThere() async throws {
        try await Self.with { (site: Site) async throws in
            let process = site.process(.always, on: SlowDatabase(site.database) { site.wait(2) })
            #expect(try await process.look() == .nothing)
            site.wait(1)
            #expect(try await process.look() == .nothing)
            site.wait(1)
            #expect(try await process.look() == .begun)
        }
    }

    @Test func ofTwoThatWantToBeAloneNeitherIs() async throws {
        try await Self.with { (site: Site) async throws in
            let (first, second) = (site.process(.always), site.process(.always))
            for _ in 0..<4 {
                _ = try await first.look()
                site.wait(1)
            }
            #expect(first.isInForce)
            #expect(try await second.look() == .wasNamed)
            site.wait(1)
            #expect(try await first.look() == .ended)
            #expect(!first.isInForce)
            #expect(try await second.look() == .ended)
            for _ in 0..<6 {
                site.wait(1)
                for process in [first, second] { #expect(try await process.look() == .nothing) }
                #expect(!first.isInForce && !second.isInForce)
            }
        }
    }

    @Test func nobodyIsAloneBesideAProcessThatWasThereBefore() async throws {
        try await Self.with { (site: Site) async throws in
            let (old, new) = (site.process(.never), site.process(.always))
            #expect(try await old.look() == .nothing)
            #expect(try await new.look() == .nothing)
            site.wait(1)
            #expect(try await old.look() == .wasNamed)
            #expect(try await new.look() == .ended)
            site.wait(5)
            #expect(try await new.look() == .nothing)
            #expect(!new.isInForce && new.isEnded)
        }
    }

    @Test func theNameOfAProcessThatDiedCostsTheNextOneItsPatienceOnce() async throws {
        try await Self.with { (site: Site) async throws in
            _ = try await site.process(.always).look()
            let next = site.process(.always)
            #expect(try await next.look() == .wasNamed)
            site.wait(2)
            #expect(try await next.look() == .begun)
            await next.release()
            #expect(!next.isInForce)
            #expect(try await site.process(.always).look() == .nothing)
        }
    }

    @Test func whoIsAloneByChanceClaimsTheDatabaseAgainWhenTheOtherOneIsGone() async throws {
        try await Self.with { (site: Site) async throws in
            let (first, second) = (site.process(.whileAlone), site.process(.never))
            for _ in 0..<3 {
                _ = try await first.look()
                site.wait(1)
            }
            #expect(first.isInForce)
            #expect(try await second.look() == .wasNamed)
            #expect(try await first.look() == .ended)
            #expect(!first.isInForce && !first.isEnded)
            for _ in 0..<29 {
                site.wait(1)
                #expect(try await first.look() == .nothing)
                #expect(try await second.look() == .nothing)
            }
            site.wait(1)
            #expect(try await first.look() == .nothing)
            site.wait(2)
            #expect(try await first.look() == .begun)
        }
    }

    @Test func besideAnotherOneThatStaysClaimsBecomeRare() {
        var state = SoleUse.State(.whileAlone)
        let own = UniqueID.generate()
        var (row, time) = (UniqueID?.none, UInt64(1_000_000_000))
        func claims(in seconds: Int, besideAnother isBesideAnother: Bool) -> Int {
            var claims = 0
            for _ in 0..<seconds {
                let change = state.look(row, own: own, at: time).change
                if change == .own { (row, claims) = (own, claims + 1) }
                if isBesideAnother { row = nil }
                time += 1_000_000_000
            }
            return claims
        }
        // At 0, 31, 92, 213, 454, 935 and 1,896 s, and then each hour.
        #expect(claims(in: 3_600, besideAnother: true) == 7)
        #expect(claims(in: 6 * 3_600, besideAnother: true) == 6)
        // Once it was alone, the next one costs it half a minute again.
        #expect(claims(in: 3_700, besideAnother: false) == 1)
        #expect(state.isBelieved)
        #expect(claims(in: 60, besideAnother: true) == 1)
        #expect(!state.isBelieved)
    }

    @Test func whoHasFoundAnotherOnesChangeBelievesNothingForAWhile() async throws {
        try await Self.with { (site: Site) async throws in
            let process = site.process(.whileAlone)
            for _ in 0..<3 {
                _ = try await process.look()
                site.wait(1)
            }
            // As many turns find it as were under way.
            for _ in 0..<8 { process.giveUp() }
            for _ in 0..<31 {
                #expect(!process.isInForce)
                site.wait(1)
                _ = try await process.look()
            }
            site.wait(1)
            _ = try await process.look()
            #expect(process.isInForce)
        }
    }

    @Test func nothingIsBelievedWhileACommitMayStillHappen() async throws {
        try await Self.with { (site: Site) async throws in
            let process = site.process(.always)
            _ = try await process.look()
            site.wait(2)
            _ = try await process.look()
            process.suspend()
            #expect(!process.isInForce)
            for _ in 0..<301 {
                site.wait(1)
                _ = try await process.look()
            }
            #expect(process.isInForce)
        }
    }

    /// A process that believes its memory, with a session.
    private static func withBelief(
        _ durability: Durability? = nil,
        _ body: (FaultyDatabase, SoleUse, ConversationStore, Session) async throws -> Void
    ) async throws {
        try await SQLiteFixture().with { base in
            let database = FaultyDatabase(base)
            _ = try await Migrator(ConversationStore.migrations, logger: Logger(label: "test")).migrate(database)
            let site = Site(database)
            let process = site.process(.always)
            let store = ConversationStore(
                database: database, durability: durability, cacheLimit: 1 << 20, soleUse: process)
            let session = try await store.create(SessionDraft(owner: .generate(), externalID: "s"))
            _ = try await process.look()
            site.wait(2)
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

/// A database that takes its time for what is written.
private final class SlowDatabase: Database {
    private let base: any Database
    private let wait: @Sendable () -> Void

    init(_ base: any Database, _ wait: @escaping @Sendable () -> Void) { (self.base, self.wait) = (base, wait) }

    var dialect: Dialect { base.dialect }
    var threads: DatabaseThreads { base.threads }

    func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value { try base.blockingRead(body) }

    func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        wait()
        return try base.blockingWrite(body)
    }

    func close() async {}
}
