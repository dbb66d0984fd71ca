import Persistence
import Synchronization
import Testing
import TurnpikeTesting

@testable import Conversations

/// When a process may change sessions: never beside one that believes to be alone.
@Suite struct AttentionTests {
    /// A process that looks each second, and others that it may be beside.
    private static func with(_ body: (SoleUseSite, SoleUse) async throws -> Void) async throws {
        try await SoleUseSite.with { (site: SoleUseSite) async throws in
            let process = site.process(.never)
            process.keep()
            try await body(site, process)
        }
    }

    /// Looks until the process believes to be alone.
    private static func believe(_ process: SoleUse, _ site: SoleUseSite) async throws {
        for _ in 0..<6 {
            _ = try await process.look()
            site.wait(1)
        }
        _ = try await process.look()
        #expect(process.isInForce)
    }

    @Test func whoDoesNotLookWaitsForNothing() async throws {
        try await SoleUseSite.with { (site: SoleUseSite) async throws in
            #expect(site.process(.whileAlone).isAttentive)
        }
    }

    @Test func whoComesAndFindsNobodyMayChangeSessionsFromItsFirstLookOn() async throws {
        try await Self.with { site, process in
            #expect(!process.isAttentive)
            _ = try await process.look()
            #expect(process.isAttentive)
            site.wait(milliseconds: 2_499)
            #expect(process.isAttentive, "a look may fail")
            site.wait(milliseconds: 1)
            #expect(!process.isAttentive)
            _ = try await process.look()
            #expect(process.isAttentive)
        }
    }

    @Test func whoComesWaitsUntilNobodyBelievesToBeAlone() async throws {
        try await Self.with { site, process in
            let other = site.process(.always)
            try await Self.believe(other, site)
            #expect(try await process.look() == .wasNamed)
            for _ in 0..<15 {
                #expect(!process.isAttentive)
                site.wait(milliseconds: 100)
            }
            #expect(process.isAttentive && !other.isInForce)
        }
    }

    @Test func ofTwoWhoComeAtOnceBothWait() async throws {
        try await Self.with { site, process in
            let other = site.process(.always)
            try await Self.believe(other, site)
            let first = site.process(.never)
            #expect(try await first.look() == .wasNamed)
            // The name is gone, and is believed all the same.
            #expect(try await process.look() == .nothing)
            #expect(!process.isAttentive && other.isInForce)
            site.wait(milliseconds: 1_500)
            #expect(process.isAttentive && !other.isInForce)
        }
    }

    @Test func whoWasStoppedLooksAndWaitsBeforeItChangesAnything() async throws {
        try await Self.with { site, process in
            _ = try await process.look()
            let other = site.process(.always)
            try await Self.believe(other, site)
            #expect(!process.isAttentive)
            _ = try await process.look()
            #expect(!process.isAttentive && other.isInForce)
            site.wait(milliseconds: 1_500)
            #expect(process.isAttentive && !other.isInForce)
        }
    }

    /// However late its looks are, and whenever the other one comes: at no time it may change what the other believes.
    @Test func nobodyBelievesBesideOneThatMayChangeSessions() async throws {
        var generator = SeededGenerator(seed: 2_033)
        for _ in 0..<60 {
            try await Self.with { site, process in
                let other = site.process(.whileAlone)
                other.keep()
                var due = [
                    UInt64.random(in: 0..<6_000, using: &generator), UInt64.random(in: 0..<6_000, using: &generator),
                ]
                for now in stride(from: UInt64(0), to: 20_000, by: 100) {
                    for (index, one) in [process, other].enumerated() where now >= due[index] {
                        _ = try await one.look()
                        let late = UInt64.random(in: 0..<8, using: &generator) == 0
                        due[index] = now + (late ? UInt64.random(in: 1_000..<9_000, using: &generator) : 1_000)
                    }
                    #expect(!(process.isAttentive && other.isInForce), "at \(now)")
                    site.wait(milliseconds: 100)
                }
            }
        }
    }

    /// Of a claim nobody knows whether it was written, and it was: by the next look it is one's own name that stands
    /// there.
    @Test func whoseClaimGotNoAnswerWaitsAllTheSame() async throws {
        try await Self.with { site, believing in
            let other = site.process(.always)
            try await Self.believe(other, site)
            let faulty = FaultyDatabase(site.database)
            let process = site.process(.always, on: faulty)
            process.keep()
            faulty.failNextCommit(.happened)
            await #expect(throws: DatabaseError.self) { try await process.look() }
            _ = try await process.look()
            #expect(!process.isAttentive && other.isInForce)
            site.wait(milliseconds: 1_500)
            #expect(process.isAttentive && !other.isInForce)
        }
    }

    @Test func whoLeavesAtOnceDoesNotTakeAwayThatAnotherOneIsBelieved() async throws {
        try await Self.with { site, process in
            let other = site.process(.always)
            try await Self.believe(other, site)
            let passing = site.process(.always)
            #expect(try await passing.look() == .wasNamed)
            await passing.release()
            #expect(try await process.look() == .nothing)
            #expect(!process.isAttentive && other.isInForce)
        }
    }

    /// It wakes with the task that looks, and not behind it.
    @Test(.timeLimit(.minutes(1))) func theTimeInWhichAProcessWasStoppedIsNoneOfItsWaiting() async throws {
        try await SQLiteFixture().with { database in
            _ = try await Migrator([], logger: SpoolFixture.logger).migrate(database)
            let time = Atomic<UInt64>(1_000_000_000_000)
            let glances = Atomic(0)
            let process = SoleUse(.never, database) {
                glances.add(1, ordering: .relaxed)
                return time.load(ordering: .relaxed)
            }
            process.keep()
            async let waiting: Void = process.attend()
            while glances.load(ordering: .relaxed) < 10 { await Task.yield() }
            time.add(60_000_000_000, ordering: .relaxed)
            let before = glances.load(ordering: .relaxed)
            while glances.load(ordering: .relaxed) < before + 10, !Task.isCancelled { await Task.yield() }
            _ = try await process.look()
            let mayGoOn = (try? await waiting) != nil
            #expect(mayGoOn)
        }
    }

    @Test func whatWaitsIsRefusedWhereTheDatabaseIsNotReached() async throws {
        try await SQLiteFixture().with { database in
            let process = SoleUse(.never, database)
            process.keep()
            let store = ConversationStore(database: database, durability: nil, cacheLimit: 0, soleUse: process)
            await #expect(throws: DatabaseError.self) { try await store.create(SessionDraft(owner: .generate())) }
        }
    }

    /// The clock stands still: what waited would do so for ever.
    @Test(.timeLimit(.minutes(1))) func inAnOutageNothingWaits() async throws {
        let durability = try Durability(
            SpoolSettings(directory: "/spool"), on: SimulatedDisk(), logger: SpoolFixture.logger)
        try await SQLiteFixture().with { database in
            _ = try await Migrator(ConversationStore.migrations, logger: SpoolFixture.logger).migrate(database)
            let process = SoleUseSite(database).process(.never)
            let store = ConversationStore(database: database, durability: durability, cacheLimit: 0, soleUse: process)
            let session = try await store.create(SessionDraft(owner: .generate()))
            process.keep()
            durability.writes.noteSilence()
            await #expect(throws: DatabaseError.self) { try await store.attend() }
            #expect(try await store.append(SpoolFixture.turn("1", after: session)) == .spooled)
            await #expect(throws: DatabaseError.self) { try await store.create(SessionDraft(owner: .generate())) }
        }
        await durability.close()
    }

    @Test func changesWaitForALook() async throws {
        try await SQLiteFixture().with { database in
            _ = try await Migrator(ConversationStore.migrations, logger: SpoolFixture.logger).migrate(database)
            // It stands still, so that nobody gives up, and knows how often somebody who waits has looked at it.
            let glances = Atomic(0)
            let process = SoleUse(.never, database) {
                glances.add(1, ordering: .relaxed)
                return 1_000_000_000_000
            }
            let store = ConversationStore(database: database, durability: nil, cacheLimit: 0, soleUse: process)
            let session = try await store.create(SessionDraft(owner: .generate()))
            process.keep()
            async let made = store.create(SessionDraft(owner: session.key.owner))
            async let stored = store.append(SpoolFixture.turn("1", after: session))
            async let changed = store.update(session.key) { $0.maxHistory = 3 }
            while glances.load(ordering: .relaxed) < 40 { await Task.yield() }
            #expect(try await store.read { try $0.sessions(of: session.key.owner, limit: 9).total } == 1)
            #expect(try await store.read { try $0.session(session.key) }?.version == session.version)
            _ = try await process.look()
            _ = try await made
            guard case .stored = try await stored else { throw ConversationError.invalid("it is not stored") }
            #expect(try await changed?.settings.maxHistory == 3)
        }
    }
}
