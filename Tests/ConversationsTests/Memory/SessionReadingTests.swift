import Glibc
import Persistence
import Synchronization
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import Conversations

/// What an exchange goes by: the database where it answers, memory where it does not.
@Suite struct SessionReadingTests {
    /// Runs `body` with a store whose readings are scripted, and with a session that it knows.
    private func with(
        _ body: (SpoolFixture, ScriptedReads, ConversationStore, Session) async throws -> Void
    ) async throws {
        try await SpoolFixture.with { fixture in
            let reads = ScriptedReads(fixture.database)
            let store = ConversationStore(
                database: reads, durability: fixture.store.durability, cacheLimit: 1 << 20)
            let made = try await store.create(SessionDraft(owner: .generate(), externalID: "s"))
            _ = try await fixture.store.append(SpoolFixture.turn("1", after: made))
            let session = try await read(store, made.key)
            #expect(store.cache.snapshot(of: session) != nil)
            try await body(fixture, reads, store, session)
        }
    }

    /// Reads a session and its history as an exchange does.
    @discardableResult
    private func read(_ store: ConversationStore, _ key: SessionKey) async throws -> Session {
        let found = try await store.sessionOfExchange(SessionReference(key.session), of: key.owner)
        let session = try #require(found)
        try await store.readHistory(of: session, counting: BufferReservation(nil)) { reader in
            _ = try reader.outlines(of: key, in: 0..<Int64.max)
            _ = try reader.session(key)
        }
        return session
    }

    private func turns(_ store: ConversationStore, _ session: Session) async throws -> [UniqueID] {
        let turns = Found()
        try await store.readHistory(of: session, counting: BufferReservation(nil)) { reader in
            turns.set(try reader.outlines(of: session.key, in: 0..<Int64.max).map(\.turnID))
        }
        return turns.value
    }

    @Test func whatTheDatabaseHasNoMoreDoesNotComeBackInAnOutage() async throws {
        try await with { fixture, reads, store, session in
            let reference = SessionReference("s")
            _ = try await ConversationStore(database: fixture.database).delete(session.key)
            #expect(try await store.sessionOfExchange(reference, of: session.key.owner) == nil)
            reads.goAway()
            await #expect(throws: DatabaseError.self) {
                try await store.sessionOfExchange(reference, of: session.key.owner)
            }
        }
    }

    @Test func whatWasReadBeforeItsUserWasErasedIsNotKept() async throws {
        try await with { _, _, store, session in
            let (read, start) = (try #require(store.cache.snapshot(of: session)), store.cache.time)
            store.cache.drop(owner: session.key.owner)
            store.cache.store(read, readSince: start)
            #expect(store.cache.snapshot(session.key) == nil)
            store.cache.store(read, readSince: store.cache.time)
            #expect(store.cache.snapshot(session.key) != nil)
        }
    }

    @Test func whatHasExpiredDoesNotComeBackInAnOutage() async throws {
        try await SpoolFixture.with { fixture in
            let reads = ScriptedReads(fixture.database)
            let elapsed = Mutex(0)
            let store = ConversationStore(
                database: reads, durability: fixture.store.durability, cacheLimit: 1 << 20,
                now: { Timestamp.now().advanced(by: .seconds(elapsed.withLock { $0 })) })
            var draft = SessionDraft(owner: .generate(), externalID: "s")
            draft.settings.ttlSeconds = 60
            let session = try await read(store, try await store.create(draft).key)
            reads.goAway()
            let reference = SessionReference("s")
            #expect(try await store.sessionOfExchange(reference, of: session.key.owner) == session)
            elapsed.withLock { $0 = 61 }
            #expect(try await store.sessionOfExchange(reference, of: session.key.owner) == nil)
        }
    }

    @Test func aTurnThatWasNeverStoredIsNotTakenForSomebodyElses() async throws {
        try await with { fixture, reads, store, session in
            // What somebody leaves who reads the session while a turn of it is set aside.
            store.cache.append(SpoolFixture.turn("never", after: session), nil, at: store.now())
            let other = ConversationStore(database: fixture.database)
            let theirs = SpoolFixture.turn("theirs", after: session)
            _ = try await other.append(theirs)
            let now = try await read(store, session.key)
            #expect(now == (try await other.session(SessionReference("s"), of: session.key.owner)))
            #expect(try await turns(store, now).last == theirs.id)
            #expect(store.cache.snapshot(session.key)?.outlines.last?.turnID == theirs.id)
        }
    }

    @Test func aVersionThatIsNotTheNextOneConfirmsNothing() async throws {
        try await with { _, _, store, session in
            store.cache.append(SpoolFixture.turn("2", after: session), nil, at: store.now())
            func stored(_ version: Int64) -> StoredTurn {
                StoredTurn(firstSeq: session.nextSeq, messageCount: 2, version: version, superseded: .notAsked)
            }
            store.cache.confirm(session.key, stored(session.version))
            #expect(store.cache.snapshot(session.key)?.isConfirmed == false)
            store.cache.confirm(session.key, stored(session.version + 2))
            #expect(store.cache.snapshot(session.key) == nil)
        }
    }

    @Test func turnsThatWereFoundStoredAreCountedBeforeTheNextOne() async throws {
        try await with { fixture, reads, store, session in
            let found = SpoolFixture.turn("2", after: session)
            try await fixture.spool(found)
            store.cache.append(found, nil, at: store.now())
            // Its commit was late.
            _ = try await ConversationStore(database: fixture.database).append(found)
            let known = try #require(store.cache.snapshot(session.key)?.session)
            let next = SpoolFixture.turn("3", after: known)
            #expect(try await store.append(next) == .spooled)
            _ = try await store.drainSpool(logger: SpoolFixture.logger)
            #expect(store.cache.snapshot(session.key)?.isConfirmed == true)
            #expect(try await read(store, session.key).nextSeq == session.nextSeq + 4)
        }
    }

    @Test func aDatabaseInWhichOthersAreFasterIsAskedForTheSession() async throws {
        try await with { fixture, reads, store, session in
            _ = try await ConversationStore(database: fixture.database).update(session.key) { $0.maxHistory = 3 }
            // All attempts of the first reading.
            reads.set { if $0 <= 8 { throw DatabaseError(.retryTransaction, "an injected fault") } }
            #expect(try await read(store, session.key).settings.maxHistory == 3)
        }
    }

    @Test(arguments: [DatabaseError.Failure.overloaded, .retryTransaction])
    func memoryIsNotTakenForADatabaseThatHasTooMuchToDo(_ failure: DatabaseError.Failure) async throws {
        try await with { fixture, reads, store, session in
            _ = try await ConversationStore(database: fixture.database).update(session.key) { $0.maxHistory = 3 }
            reads.set { _ in throw DatabaseError(failure, "an injected fault") }
            // The second one comes when a failure was noted already.
            for _ in 0..<2 {
                await #expect(throws: DatabaseError.self) { try await read(store, session.key) }
                await #expect(throws: DatabaseError.self) {
                    try await store.hold(2, of: session.key, within: MessageLimits(perUser: 10))
                }
            }
            reads.set(nil)
            #expect(try await read(store, session.key).settings.maxHistory == 3)
        }
    }

    @Test func oneSlowReadingAmongOthersIsNoOutage() async throws {
        let fixture = try await SpoolFixture(deadline: .milliseconds(100))
        let session = try await ConversationStore(database: fixture.database).create(SessionDraft(owner: .generate()))
        let reads = ScriptedReads(fixture.database)
        let durability = try #require(fixture.store.durability)
        let store = ConversationStore(database: reads, durability: durability, cacheLimit: 1 << 20)
        let snapshot = SessionSnapshot(session, outlines: [], isComplete: true, bodies: [])
        store.cache.store(snapshot, readSince: store.cache.time)
        // Readings of the session hang, while others are answered up to their deadline.
        let isOver = Atomic(false)
        reads.set { _ in
            while !isOver.load(ordering: .relaxed) {
                durability.reads.noteAnswer()
                sched_yield()
            }
        }
        let failure = await #expect(throws: DatabaseError.self) {
            try await store.sessionOfExchange(SessionReference(session.key.session), of: session.key.owner)
        }
        #expect(failure?.failure == .overloaded)
        isOver.store(true, ordering: .relaxed)
        await fixture.close()
    }

    @Test func whileTheDatabaseIsSilentPagesAreRefusedWithoutAskingIt() async throws {
        try await SpoolFixture.with { fixture in
            let reads = ScriptedReads(fixture.database)
            let durability = try Durability(
                SpoolSettings(directory: "/spool"), on: SimulatedDisk(),
                reads: DatabaseHealth(pause: .seconds(3_600)), logger: SpoolFixture.logger)
            let store = ConversationStore(database: reads, durability: durability, cacheLimit: 1 << 20)
            durability.reads.noteSilence()
            let bodies = BufferReservation(nil)
            await #expect(throws: DatabaseError.self) { try await store.read { _ in } }
            await #expect(throws: DatabaseError.self) { try await store.read(counting: bodies) { _ in } }
            #expect(reads.count == 0)
            durability.reads.noteAnswer()
            try await store.read { _ in }
            await store.closeSpool()
        }
    }

    /// A reading that nobody waits for any more is answered when the database hangs no longer, as others are.
    @Test func anAnswerThatComesTooLateEndsTheSilence() async throws {
        try await SpoolFixture.with { fixture in
            let hours = Atomic(0)
            let health = DatabaseHealth(pause: .seconds(3_600)) {
                .now + .seconds(3_600) * hours.load(ordering: .relaxed)
            }
            let durability = try Durability(
                SpoolSettings(directory: "/spool"), on: SimulatedDisk(), reads: health, logger: SpoolFixture.logger)
            let store = ConversationStore(database: fixture.database, durability: durability, cacheLimit: 1 << 20)
            let session = try await fixture.store.create(SessionDraft(owner: .generate(), externalID: "s"))
            _ = try await fixture.store.append(SpoolFixture.turn("1", after: session))
            #expect(try await read(store, session.key).settings.maxHistory == nil)
            #expect(try await store.cache.snapshot(of: read(store, session.key)) != nil)
            hours.store(2, ordering: .relaxed)
            health.noteSilence()
            #expect(!health.isAnswering)
            _ = try await fixture.store.update(session.key) { $0.maxHistory = 3 }
            #expect(
                try await read(store, session.key).settings.maxHistory == 3, "the change was answered, so this can be")
            await store.closeSpool()
        }
    }

    // MARK: Limits

    @Test(arguments: [MessageLimits(perSession: 10), MessageLimits(perUser: 10)])
    func limitsRefuseNobodyWhoseSessionIsKnownInAnOutage(_ limits: MessageLimits) async throws {
        try await with { _, reads, store, session in
            reads.goAway()
            await #expect(throws: Never.self) { try await store.hold(2, of: session.key, within: limits).release() }
        }
    }

    @Test func theLimitOfASessionIsKeptInAnOutage() async throws {
        try await with { _, reads, store, session in
            reads.goAway()
            await #expect(throws: ConversationError.self) {
                try await store.hold(2, of: session.key, within: MessageLimits(perSession: 3))
            }
        }
    }

    @Test func aLimitOfASessionTakesOneReadingOfItsVersion() async throws {
        try await with { _, reads, store, session in
            reads.set(nil)
            try await store.hold(2, of: session.key, within: MessageLimits(perSession: 10)).release()
            #expect(reads.count == 1)
        }
    }
}

/// What a reading has found.
private final class Found: Sendable {
    private let turns = Mutex<[UniqueID]>([])
    var value: [UniqueID] { turns.withLock { $0 } }
    func set(_ found: [UniqueID]) { turns.withLock { $0 = found } }
}
