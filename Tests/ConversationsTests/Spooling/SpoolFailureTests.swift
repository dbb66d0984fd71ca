import Journal
import NIOCore
import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import Conversations

/// What the spool does when the database or its own disk fail in ways that nobody foresaw.
@Suite struct SpoolFailureTests {
    // MARK: Classes of errors

    @Test(arguments: DatabaseError.Failure.allCases.filter { $0 != .data })
    func noClassOfErrorLosesATurnButRefusedValues(_ failure: DatabaseError.Failure) async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            // What may be retried is, until the attempts are used up.
            let faulty = RefusingDatabase(fixture.database, failure)
            let store = ConversationStore(
                database: faulty, durability: fixture.store.durability, cacheLimit: 0)
            #expect(try await store.append(SpoolFixture.turn("1", after: session)) == .spooled)
            try await fixture.drain()
            #expect(try await fixture.texts(session.key) == ["q1", "a1"])
            await store.turns.drain()
        }
    }

    @Test func refusedValuesFailTheirTurnAlone() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            fixture.database.fail(atStep: 0, with: .data)
            await #expect(throws: DatabaseError.self) {
                try await fixture.store.append(SpoolFixture.turn("1", after: session))
            }
            #expect(fixture.store.spoolStatus?.turns == 0)
        }
    }

    @Test func aTurnThatIsRefusedWhileOthersAreStoredIsSetAside() async throws {
        try await SpoolFixture.with { fixture in
            let (alice, bob) = (UniqueID.generate(), UniqueID.generate())
            let poisoned = try await fixture.store.create(SessionDraft(owner: alice))
            let other = try await fixture.store.create(SessionDraft(owner: bob))
            try await fixture.refuseBodies(with: "poison")
            try await fixture.spool(SpoolFixture.turn("poison", after: poisoned))
            let now = try await fixture.session(poisoned.key)
            #expect(try await fixture.store.append(SpoolFixture.turn("2", after: now)) == .spooled)

            // As long as the database takes nothing else, it may be the reason itself.
            for _ in 0..<30 { await #expect(throws: DatabaseError.self) { try await fixture.drain() } }
            #expect(fixture.store.spoolStatus?.turns == 2)

            for number in 0..<40 where fixture.store.spoolStatus?.deadLetters == 0 {
                let session = try await fixture.session(other.key)
                try await fixture.spool(SpoolFixture.turn("\(number)", after: session))
                try? await fixture.drain()
            }
            #expect(fixture.store.spoolStatus?.deadLetters == 1)
            try await fixture.drain()
            #expect(try await fixture.texts(poisoned.key) == ["q2", "a2"])
            #expect(try await fixture.texts(other.key).count >= 2 * 10)
            #expect(fixture.store.spoolStatus?.turns == 0)
        }
    }

    /// Settings, messages that the API adds, sessions that are deleted: all of that may need less than a turn does.
    @Test func nothingIsSetAsideBecauseTheDatabaseTakesSomethingElse() async throws {
        try await SpoolFixture.with { fixture in
            let poisoned = try await fixture.store.create(SessionDraft(owner: .generate()))
            let other = try await fixture.store.create(SessionDraft(owner: .generate()))
            try await fixture.refuseBodies(with: "poison")
            try await fixture.spool(SpoolFixture.turn("poison", after: poisoned))
            for number in 0..<30 {
                fixture.store.durability?.writes.noteAnswer()
                _ = try await fixture.store.update(other.key) { $0.maxHistory = number }
                await #expect(throws: DatabaseError.self) { try await fixture.drain() }
            }
            #expect(fixture.store.spoolStatus?.turns == 1)
            #expect(fixture.store.spoolStatus?.deadLetters == 0)
        }
    }

    @Test func aTurnWhoseCommitHadNoAnswerIsNotForgottenInTheOutageBehindIt() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            let key = session.key
            try await fixture.store.readHistory(of: session, counting: BufferReservation(nil)) { reader in
                _ = try reader.outlines(of: key, in: 0..<Int64.max)
                _ = try reader.session(key)
            }
            #expect(fixture.store.cache.snapshot(key) != nil)
            fixture.database.failNextCommit(.happened)
            #expect(
                try await fixture.store.append(SpoolFixture.turn("1", after: session)) == .alreadyStored(firstSeq: 1))
            fixture.database.fail(atStep: 0, with: .unavailable)
            // It is known with the turn.
            #expect(try await fixture.session(key).nextSeq == 3)
            _ = fixture.database.withdraw()
            #expect(try await fixture.texts(key) == ["q1", "a1"])
        }
    }

    // MARK: A disk that hangs

    @Test func aSpoolWhoseDiskHangsHoldsNobodyUpForLongerThanItsDeadline() async throws {
        let gate = Gate()
        let disk = SimulatedDisk(onSync: gate.pass)
        let fixture = try await SpoolFixture(diskDeadline: .milliseconds(20), on: disk)
        let session = try await ConversationStore(database: fixture.database).create(SessionDraft(owner: .generate()))
        fixture.database.fail(atStep: 0, with: .unavailable)
        let turn = SpoolFixture.turn("1", after: session)
        await #expect(throws: DatabaseError.self) { try await fixture.store.append(turn) }
        // Its place in the order is kept: it may still come.
        let next = SpoolFixture.turn("2", after: session)
        await #expect(throws: DatabaseError.self) { try await fixture.store.append(next) }
        gate.open()
        // The journal does one thing after the other: behind this both are there.
        let none = SpoolIndex.Turn(sequence: .max, key: session.key, id: .generate(), bytes: 0)
        await fixture.store.durability?.spool.acknowledge([none])
        #expect(fixture.store.spoolStatus?.turns == 2)
        try await fixture.drain()
        #expect(try await fixture.texts(session.key) == ["q1", "a1", "q2", "a2"])
        await fixture.close()
    }

    @Test func aRecordThatWasDamagedOnTheDiskIsSetAsideAndBlocksNothing() async throws {
        let disk = SimulatedDisk()
        let fixture = try await SpoolFixture(on: disk)
        let session = try await fixture.store.create(SessionDraft(owner: .generate()))
        try await fixture.spool(SpoolFixture.turn("1", after: session))
        let now = try await fixture.session(session.key)
        #expect(try await fixture.store.append(SpoolFixture.turn("2", after: now)) == .spooled)
        let path = try #require(disk.paths.first { $0.hasSuffix(".segment") })
        disk.edit(path) { $0[100] ^= 1 }
        try await fixture.drain()
        #expect(try await fixture.texts(session.key) == ["q2", "a2"])
        #expect(fixture.store.spoolStatus?.deadLetters == 1)
        #expect(disk.paths.contains { $0.hasSuffix(".damaged") })
        await fixture.close()
    }

    // MARK: Room

    @Test func theRoomOfATurnGrowsWithItsAnswer() async throws {
        let fixture = try await SpoolFixture(size: 16 << 20)
        let room = try fixture.store.reserveRoom(forRequestOf: 1_000)
        let before = try #require(fixture.store.spoolStatus).reserved
        var covered = 0
        for bytes in stride(from: 0, through: 8 << 20, by: 100_000) where bytes > covered {
            covered = try room.cover(answer: bytes, messages: 2)
            let reserved = try #require(fixture.store.spoolStatus).reserved
            #expect(reserved >= bytes)
        }
        let after = try #require(fixture.store.spoolStatus).reserved
        #expect(after > before + 8 << 20)
        room.release()
        #expect(fixture.store.spoolStatus?.reserved == 0)
        await fixture.close()
    }

    @Test func anAnswerWithoutRoomGoesOnWhileTheDatabaseTakesTurnsAndEndsWhileItDoesNot() async throws {
        let fixture = try await SpoolFixture(size: 16 << 20)
        let room = try fixture.store.reserveRoom(forRequestOf: 1_000)
        #expect(try room.cover(answer: 32 << 20, messages: 2) > 32 << 20)
        fixture.store.durability?.writes.noteSilence()
        #expect(throws: TurnRoomError.full) { try room.cover(answer: 32 << 20, messages: 2) }
        await fixture.close()
    }

    @Test func anAnswerThatFitsWhatWasReservedHasItsRoomWhereTheSpoolHasNoMore() async throws {
        let fixture = try await SpoolFixture(size: 16 << 20)
        let room = try fixture.store.reserveRoom(forRequestOf: 1_000)
        let spool = try #require(fixture.store.durability?.spool)
        let others = try spool.reserve(spool.status.limit - spool.status.bytes - spool.status.reserved - 200)
        fixture.store.durability?.writes.noteSilence()
        for bytes in [10, 1_024, spool.settings.reserve] {
            #expect(try room.cover(answer: bytes, messages: 2) >= bytes)
            #expect(try room.cover(answer: bytes, messages: 2, isWhole: true) >= bytes)
        }
        #expect(throws: TurnRoomError.full) { try room.cover(answer: 1 << 20, messages: 2) }
        others.release()
        await fixture.close()
    }

    @Test func aDatabaseThatRefusesATurnIsNotTakenForSilent() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            try await fixture.refuseBodies(with: "poison")
            #expect(try await fixture.store.append(SpoolFixture.turn("poison", after: session)) == .spooled)
            #expect(fixture.store.durability?.writes.isAnswering == true)
            await #expect(throws: DatabaseError.self) { try await fixture.drain() }
            #expect(fixture.store.durability?.writes.isAnswering == true)
            #expect(fixture.store.spoolStatus?.replayFailure?.failure == .refuse)
            try await fixture.database.write { _ = try $0.execute("DROP TRIGGER refuse") }
            try await fixture.drain()
            #expect(fixture.store.spoolStatus?.replayFailure == nil)
        }
    }

    @Test(.timeLimit(.minutes(1))) func whatWasErasedWhileTheDatabaseRefusedItIsNoProblemAnyMore() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            try await fixture.refuseBodies(with: "poison")
            #expect(try await fixture.store.append(SpoolFixture.turn("poison", after: session)) == .spooled)
            let replay = Task { await fixture.store.replaySpool(logger: SpoolFixture.logger) }
            while fixture.store.spoolStatus?.replayFailure == nil, !Task.isCancelled { await Task.yield() }
            await fixture.store.discard(session: session.key)
            while fixture.store.spoolStatus?.replayFailure != nil, !Task.isCancelled { await Task.yield() }
            replay.cancel()
            await replay.value
        }
    }

    // MARK: Memory

    @Test func readingWithSpooledTurnsLoadsOnlyWhatIsAskedForAndCountsIt() async throws {
        let fixture = try await SpoolFixture()
        let key = try await Self.longSession(fixture)
        fixture.store.cache.drop(key)
        let session = try await fixture.session(key)
        fixture.store.cache.drop(key)
        // 20 stored bodies of 100 KB and 2 spooled ones: the newest four are 400 KB, beside the spooled ones themselves.
        let budget = BufferBudget(limit: 700 << 10)
        let held = BufferReservation(budget)
        try await fixture.store.readHistory(of: session, counting: held) { reader in
            let messages = try reader.newestRun(4, of: key)
            #expect(messages.map(\.seq) == [19, 20, 21, 22])
            #expect(messages.map { $0.body.getString(at: 0, length: 3) } == ["q9.", "a9.", "qs.", "as."])
            #expect(try reader.outlines(of: key, in: 0..<Int64.max).count == 22)
        }
        #expect(held.bytes >= 400_000 && budget.usedBytes == held.bytes)
        let known = try #require(fixture.store.cache.snapshot(key))
        #expect(known.bodies.count <= 4)
        await fixture.close()
    }

    @Test func spooledTurnsForWhichThereIsNoMemoryAreNotLoaded() async throws {
        let fixture = try await SpoolFixture()
        let key = try await Self.longSession(fixture)
        let session = try await fixture.session(key)
        fixture.store.cache.drop(key)
        let budget = BufferBudget(limit: 100 << 10)
        await #expect(throws: GatewayError.self) {
            try await fixture.store.readHistory(of: session, counting: BufferReservation(budget)) { _ in }
        }
        #expect(budget.usedBytes == 0)
        await fixture.close()
    }

    /// Ten stored turns of two messages of 100 KB, and one that waits.
    private static func longSession(_ fixture: SpoolFixture) async throws -> SessionKey {
        let session = try await fixture.store.create(SessionDraft(owner: .generate()))
        for number in 0..<10 {
            let now = try await fixture.session(session.key)
            _ = try await fixture.store.append(SpoolFixture.turn("\(number)", after: now, padding: 100_000))
        }
        let now = try await fixture.session(session.key)
        try await fixture.spool(SpoolFixture.turn("s", after: now, padding: 100_000))
        return session.key
    }
}

/// A database that takes nothing, always for the same reason.
private final class RefusingDatabase: Database {
    private let base: any Database
    private let failure: DatabaseError.Failure

    init(_ base: any Database, _ failure: DatabaseError.Failure) {
        self.base = base
        self.failure = failure
    }

    var dialect: Dialect { base.dialect }
    var threads: DatabaseThreads { base.threads }

    func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value { try base.blockingRead(body) }

    func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        throw DatabaseError(failure, "an injected fault")
    }

    func close() async {}
}

extension SpoolFixture {
    /// Has the database refuse such bodies as an error of the statement, and not of the values.
    fileprivate func refuseBodies(with text: String) async throws {
        try await database.write { connection in
            _ = try connection.execute(
                SQL(
                    raw: """
                        CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN instr(CAST(NEW.body AS TEXT), '\(text)') \
                        BEGIN SELECT json('{'); END
                        """))
        }
    }
}
