import Persistence
import Testing
import TurnpikeTesting

@testable import Conversations

@Suite struct SpoolTests {
    @Test func aTurnThatIsSpooledIsSeenAtOnceAndStoredOnceInOrder() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            _ = try await fixture.store.append(SpoolFixture.turn("1", after: session))
            try await fixture.spool(SpoolFixture.turn("2", after: try await fixture.session(session.key)))
            let now = try await fixture.session(session.key)
            #expect(now.nextSeq == 5)
            // The database answers again, but the session's turns follow each other.
            #expect(try await fixture.store.append(SpoolFixture.turn("3", after: now)) == .spooled)
            #expect(try await fixture.texts(session.key) == ["q1", "a1"])
            try await fixture.drain()
            #expect(try await fixture.texts(session.key) == ["q1", "a1", "q2", "a2", "q3", "a3"])
            let after = try await fixture.session(session.key)
            guard case .stored = try await fixture.store.append(SpoolFixture.turn("4", after: after)) else {
                Issue.record("not stored")
                return
            }
            #expect(fixture.store.spoolStatus?.turns == 0)
        }
    }

    @Test(arguments: [FaultyDatabase.LostCommit.happened, .lost])
    func aCommitWithoutAnAnswerAndItsSpooledTurnAreOne(commit: FaultyDatabase.LostCommit) async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            try await fixture.spool(SpoolFixture.turn("1", after: session))
            fixture.database.failNextCommit(commit)
            try await fixture.drain()
            #expect(try await fixture.texts(session.key) == ["q1", "a1"])
        }
    }

    @Test func aCommitThatIsLateAndItsSpooledTurnAreOne() async throws {
        let fixture = try await SpoolFixture(deadline: .milliseconds(20))
        let patient = ConversationStore(database: fixture.database)
        let session = try await patient.create(SessionDraft(owner: .generate()))
        let gate = Gate()
        async let held: Void = fixture.database.write { _ in gate.pass() }
        defer { gate.open() }
        await gate.entered()
        #expect(try await fixture.store.append(SpoolFixture.turn("1", after: session)) == .spooled)
        gate.open()
        try await held
        try await fixture.drain()
        #expect(try await fixture.texts(session.key) == ["q1", "a1"])
        await fixture.close()
    }

    @Test func aFaultAtAnyStepOfAReplayLosesAndDoublesNothing() async throws {
        for step in 0..<40 {
            try await SpoolFixture.with { fixture in
                let session = try await fixture.store.create(SessionDraft(owner: .generate()))
                try await fixture.spool(SpoolFixture.turn("1", after: session))
                _ = try await fixture.store.append(
                    SpoolFixture.turn("2", after: try await fixture.session(session.key)))
                fixture.database.fail(atStep: step, with: step % 2 == 0 ? .unavailable : .retryTransaction)
                try? await fixture.drain()
                _ = fixture.database.withdraw()
                try await fixture.drain()
                #expect(try await fixture.texts(session.key) == ["q1", "a1", "q2", "a2"], "step \(step)")
            }
        }
    }

    // MARK: With others

    @Test func aReplaySupersedesWhatItsExchangeKnewAndNothingElse() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            _ = try await fixture.store.append(SpoolFixture.turn("1", after: session))
            let known = try await fixture.session(session.key)
            try await fixture.spool(SpoolFixture.turn("2", after: known))
            let edited = SpoolFixture.turn("3", after: try await fixture.session(session.key), supersedes: 3)
            #expect(try await fixture.store.append(edited) == .spooled)
            try await fixture.drain()
            #expect(try await fixture.texts(session.key) == ["q1", "a1", "q3", "a3"])
        }
    }

    @Test func whatAnotherProcessStoredMeanwhileIsNeverSuperseded() async throws {
        try await SpoolFixture.with { fixture in
            let other = ConversationStore(database: fixture.database)
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            _ = try await fixture.store.append(SpoolFixture.turn("1", after: session))
            let known = try await fixture.session(session.key)
            try await fixture.spool(SpoolFixture.turn("2", after: known))
            let edited = SpoolFixture.turn("3", after: try await fixture.session(session.key), supersedes: 1)
            _ = try await other.append(SpoolFixture.turn("x", after: known))
            #expect(try await fixture.store.append(edited) == .spooled)
            try await fixture.drain()
            #expect(
                try await fixture.texts(session.key) == ["q1", "a1", "qx", "ax", "q2", "a2", "q3", "a3"])
            // And the next exchange sees all of it.
            #expect(try await fixture.session(session.key).counters.messages == 8)
        }
    }

    @Test func behindATurnThatWasRefusedTheLaterOnesSupersedeNothing() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            _ = try await fixture.store.append(SpoolFixture.turn("1", after: session))
            try await fixture.spool(SpoolFixture.turn("poison", after: try await fixture.session(session.key)))
            let edited = SpoolFixture.turn("3", after: try await fixture.session(session.key), supersedes: 1)
            _ = try await fixture.store.append(edited)
            try await fixture.database.write { connection in
                try connection.execute(
                    "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN CAST(NEW.body AS TEXT) LIKE '%poison' "
                        + "BEGIN SELECT RAISE(ABORT, 'no'); END")
            }
            try await fixture.drain()
            #expect(try await fixture.texts(session.key) == ["q1", "a1", "q3", "a3"])
            #expect(fixture.store.spoolStatus?.deadLetters == 1)
            let listing = try SpoolListing(directory: fixture.directory)
            #expect(listing.setAside.first?.turn?.messages.count == 2 && listing.turns.isEmpty)
        }
    }

    // MARK: Erasing

    @Test func whatIsDeletedIsGoneFromTheSpoolToo() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            let other = try await fixture.store.create(SessionDraft(owner: .generate()))
            try await fixture.spool(SpoolFixture.turn("secret", after: session))
            try await fixture.spool(SpoolFixture.turn("kept", after: other))
            // The outage is over.
            fixture.store.durability?.writes.noteAnswer()
            #expect(try await fixture.store.delete(session.key) == .deleted)
            #expect(try SpoolListing(directory: fixture.directory).turns.map(\.turn?.key) == [other.key])
            _ = try await fixture.store.erase(other.key.owner)
            #expect(try SpoolListing(directory: fixture.directory).turns.isEmpty)
            try await fixture.drain()
        }
    }

    @Test func aTurnOfASessionThatIsGoneIsDiscarded() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            try await fixture.spool(SpoolFixture.turn("1", after: session))
            _ = try await ConversationStore(database: fixture.database).purge(session.key)
            try await fixture.drain()
            #expect(fixture.store.spoolStatus?.turns == 0 && fixture.store.spoolStatus?.deadLetters == 0)
        }
    }
}
