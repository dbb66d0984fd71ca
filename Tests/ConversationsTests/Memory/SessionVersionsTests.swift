import Persistence
import Testing
import TurnpikeTesting

@testable import Conversations

/// Readings of versions that hang or fail are in nobody else's way.
@Suite(.timeLimit(.minutes(5))) struct SessionVersionsTests {
    @Test func statementsThatHangHoldUpOthersForNoLongerThanTheirDeadline() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            let (reads, gate, deadlines) = (ScriptedReads(fixture.database), Gate(), Deadlines(.milliseconds(20)))
            let versions = SessionVersions(reads, deadlines)
            reads.set { if $0 <= 3 { gate.pass() } }
            let hung = (0..<3).map { _ in versions.askAtOnce(session.key) }
            await gate.entered()
            let next = versions.askAtOnce(session.key)
            await next.arrival.wait()
            #expect(try next.take() == session.version)
            gate.open()
            for answer in hung {
                await answer.arrival.wait()
                #expect(try answer.take() == session.version)
            }
            // And those that came back late have not made room twice.
            let last = versions.askAtOnce(session.key)
            await last.arrival.wait()
            #expect(try last.take() == session.version)
            await deadlines.close()
        }
    }

    @Test func oneStatementAsksForAllThatCameBeforeItsThreadGotToIt() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            let (reads, gate) = (ScriptedReads(fixture.database), Gate())
            let versions = SessionVersions(reads, nil, patience: .max)
            reads.set { if $0 == 1 { gate.pass() } }
            let answers = (0..<32).map { _ in versions.askAtOnce(session.key) }
            gate.open()
            for answer in answers {
                await answer.arrival.wait()
                #expect(try answer.take() == session.version)
            }
            #expect(reads.count == 1)
        }
    }

    @Test func whoAsksSoonAfterOthersWaitsForCompany() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            let (reads, gate) = (ScriptedReads(fixture.database), Gate())
            let versions = SessionVersions(reads, nil, patience: .max, spacing: .max) { _ in gate.pass() }
            reads.set { _ in }
            // The first has no reason to wait for others, nor has the second, which others may follow.
            for _ in 0..<2 {
                let answer = versions.askAtOnce(session.key)
                await answer.arrival.wait()
                #expect(try answer.take() == session.version)
            }
            await gate.entered()
            let answers = (0..<3).map { _ in versions.askAtOnce(session.key) }
            #expect(reads.count == 2)
            gate.open()
            for answer in answers {
                await answer.arrival.wait()
                #expect(try answer.take() == session.version)
            }
            #expect(reads.count == 3)
        }
    }

    @Test func besideAStatementThatIsSlowAnotherOneBegins() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            let (reads, gate) = (ScriptedReads(fixture.database), Gate())
            let versions = SessionVersions(reads, nil, patience: 0)
            reads.set { if $0 == 1 { gate.pass() } }
            let hung = versions.askAtOnce(session.key)
            await gate.entered()
            let next = versions.askAtOnce(session.key)
            await next.arrival.wait()
            #expect(try next.take() == session.version)
            gate.open()
            await hung.arrival.wait()
            #expect(try hung.take() == session.version)
        }
    }

    @Test func aQuestionWhoseTimeIsOverIsNotAsked() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            let (reads, gate) = (ScriptedReads(fixture.database), Gate())
            let versions = SessionVersions(reads, nil, patience: .max)
            reads.set { if $0 <= 3 { gate.pass() } }
            let hung = (0..<3).map { _ in versions.askAtOnce(session.key) }
            versions.askAtOnce(session.key).give(.failure(DatabaseError(.unavailable, "too late")))
            gate.open()
            for answer in hung { await answer.arrival.wait() }
            let last = versions.askAtOnce(session.key)
            await last.arrival.wait()
            #expect(try last.take() == session.version)
            #expect(reads.count == 2)
        }
    }

    @Test func statementsThatFailAreFollowedByOthers() async throws {
        try await SpoolFixture.with { fixture in
            let session = try await fixture.store.create(SessionDraft(owner: .generate()))
            let reads = ScriptedReads(fixture.database)
            let versions = SessionVersions(reads, nil)
            reads.set { if $0 <= 10 { throw DatabaseError(.unavailable, "an injected fault") } }
            for _ in 0..<10 {
                let answer = versions.askAtOnce(session.key)
                await answer.arrival.wait()
                #expect(throws: DatabaseError.self) { try answer.take() }
            }
            let last = versions.askAtOnce(session.key)
            await last.arrival.wait()
            #expect(try last.take() == session.version)
        }
    }
}

extension SessionVersions {
    /// Asks, and waits for nobody else who is about to ask.
    fileprivate func askAtOnce(_ key: SessionKey) -> Answer {
        let (answer, mustBegin) = ask(key)
        if mustBegin { begin() }
        return answer
    }
}
