import Persistence
import Testing
import TurnpikeTesting

@testable import Conversations

/// What is known of a write at its deadline, and that nothing comes of one that was given up.
@Suite struct WriteDeadlineTests {
    /// A store whose writes are given up after a tenth of a second, and a session that one without deadlines has made.
    private func with(_ body: (SpoolFixture, ConversationStore, Session) async throws -> Void) async throws {
        let fixture = try await SpoolFixture(deadline: .milliseconds(100))
        let patient = ConversationStore(database: fixture.database)
        try await body(fixture, patient, try await patient.create(SessionDraft(owner: .generate(), externalID: "s")))
        await fixture.close()
    }

    private func title(_ store: ConversationStore, _ session: Session) async throws -> String? {
        try await store.session(SessionReference(session.key.session), of: session.key.owner)?.settings.title
    }

    /// The failure that a write ends with.
    private func failure(_ body: () async throws -> Void) async -> DatabaseError.Failure? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? DatabaseError)?.failure
        }
    }

    @Test func whatNobodyHasBegunWithIsNotDoneLater() async throws {
        try await with { fixture, patient, session in
            // SQLite has one writer.
            let gate = Gate()
            try fixture.database.threads.writers.submit { gate.pass() }
            await gate.entered()
            let told = await failure { _ = try await fixture.store.update(session.key) { $0.title = "after" } }
            #expect(told == .overloaded)
            gate.open()
            // Behind it on the same thread.
            try await fixture.database.write { _ in }
            #expect(try await title(patient, session) == "")
        }
    }

    @Test func whatHasNotComeToItsCommitIsRolledBack() async throws {
        try await with { fixture, patient, session in
            let gate = Gate()
            let told = await failure {
                _ = try await fixture.store.update(session.key) { settings in
                    gate.pass()
                    settings.title = "after"
                }
            }
            #expect(told == .retryTransaction)
            gate.open()
            try await fixture.database.write { _ in }
            #expect(try await title(patient, session) == "")
        }
    }

    @Test func whatMuchIsWrittenInHasMoreTime() async throws {
        try await with { fixture, _, _ in
            let gate = Gate()
            let time = ContinuousClock.now
            let told = await failure { try await fixture.store.write(bytes: 8 << 20) { _ in gate.pass() } }
            #expect(told == .retryTransaction)
            #expect(ContinuousClock.now - time >= .milliseconds(300))
            gate.open()
        }
    }

    @Test func ofACommitThatIsUnderWayNobodyKnows() throws {
        let attempt = WriteAttempt()
        try attempt.begin()
        try attempt.commit()
        // It was rolled back by a conflict, and is done again.
        try attempt.begin()
        try attempt.commit()
        #expect(attempt.giveUp().failure == .unknownAtCommit)
        #expect(!attempt.isWanted)
        #expect(throws: DatabaseError.self) { try attempt.begin() }
    }

    @Test func aSessionThatIsChangedBehindTheDeadlineIsForgottenThen() async throws {
        try await with { fixture, _, session in
            let cache = fixture.store.cache
            let snapshot = SessionSnapshot(session, outlines: [], isComplete: true, bodies: [])
            cache.store(snapshot, readSince: cache.time)
            let gate = Gate()
            let told = await failure {
                try await fixture.store.write(changing: .session(session.key)) { _ in gate.pass() }
            }
            #expect(told == .retryTransaction)
            #expect(cache.snapshot(session.key) == nil)
            // Somebody reads it before it is over.
            cache.store(snapshot, readSince: cache.time)
            gate.open()
            try await fixture.database.write { _ in }
            #expect(cache.snapshot(session.key) == nil)
        }
    }

    @Test func theTitleOfATurnIsForSessionsThatHaveNone() async throws {
        try await SpoolFixture.with { fixture in
            let owner = UniqueID.generate()
            let untitled = try await fixture.store.create(SessionDraft(owner: owner))
            var titled = SessionDraft(owner: owner)
            titled.settings.title = "before"
            let other = try await fixture.store.create(titled)
            for (session, isSpooled) in [(untitled, true), (other, false)] {
                var turn = SpoolFixture.turn("1", after: session)
                turn.title = "after"
                if isSpooled { try await fixture.spool(turn) } else { _ = try await fixture.store.append(turn) }
            }
            try await fixture.drain()
            #expect(try await fixture.session(untitled.key).settings.title == "after")
            #expect(try await fixture.session(other.key).settings.title == "before")
        }
    }
}
