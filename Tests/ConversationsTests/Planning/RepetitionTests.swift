import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import Conversations

@Suite struct RepetitionTests {
    private let greeting: [Said] = [.user("hi"), .assistant("hello")]

    private func request(_ messages: [Said]) throws -> IncomingTurn {
        IncomingTurn(messages: try messages.map { try $0.incoming })
    }

    /// What this process remembers may be an attempt before the one that is stored.
    @Test func theNewestTurnSaysOnWhatAnAttemptUnderItsKeyWasPlanned() throws {
        let digest = SessionContext(session: .sample(), mode: .auto, idempotencyKey: "k").idempotencyDigest
        let last = LastTurn(
            id: .generate(), firstSeq: 5, baseSeq: 3, requestDigest: try ModelSession.digest(greeting),
            idempotencyKey: digest)
        func repetition(_ key: String) -> Repetition {
            SessionContext(session: .sample(lastTurn: last), mode: .auto, idempotencyKey: key).repetition(earlier: 1)
        }
        #expect(repetition("k") == .known(base: 3))
        #expect(repetition("other") == .known(base: 1))
    }

    @Test(arguments: [nil, "k"] as [String?])
    func aTurnThatWasRefusedForWhatOthersChangedIsTheOutcomeOfNothing(_ idempotencyKey: String?) async throws {
        let (session, turn) = (Session.sample(), try request([.user("continue")]))
        let key = AttemptLog.Key(session.key, turn, idempotencyKey: idempotencyKey)
        let context = SessionContext(session: session, mode: .auto, idempotencyKey: idempotencyKey)
        let history = PlannedHistory(
            try .init(scanning: ByteBuffer(string: #"{"model":"m"}"#)), turn,
            HistorySnapshot(plan: HistoryPlan(newMessages: turn.messages, base: 3)), in: session.key,
            rules: HistoryRules(), models: NoModels())
        let planned = PlannedTurn(history, history.snapshot.plan, context, target: nil)
        try await SQLiteFixture().with { database in
            let store = ConversationStore(database: database)
            store.attempts.note(key, base: 3)
            store.noteRefusal(of: planned, in: session.key)
            #expect(store.attempts.base(of: key) == .max)
        }
    }

    @Test func aRetryOfTheLastTurnTakesItsPlace() throws {
        let session = try ModelSession(greeting, [.user("why?"), .assistant("lost on the way")])
        let (summary, plan) = try session.summary([.user("why?")], repetition: .claimed)
        #expect(summary == PlanSummary(injected: greeting, new: [.user("why?")], kept: greeting))
        #expect(plan.repeatsLastTurn)
        #expect(plan.baseSeq == 3)
    }

    @Test func aRetryOfAFirstTurnLeavesOneTurn() throws {
        let (summary, _) = try ModelSession(greeting).summary([.user("hi")], repetition: .claimed)
        #expect(summary == PlanSummary(injected: [], new: [.user("hi")], kept: []))
    }

    @Test func theSameTextWithoutAClaimIsANewTurn() throws {
        let session = try ModelSession(greeting)
        let (summary, plan) = try session.summary([.user("hi")])
        #expect(summary == PlanSummary(injected: greeting, new: [.user("hi")], kept: greeting))
        #expect(!plan.isRetry)
    }

    @Test func aRetryOfSomethingElseIsANewTurn() throws {
        let session = try ModelSession(greeting)
        let (summary, plan) = try session.summary([.user("why?")], repetition: .claimed)
        #expect(summary == PlanSummary(injected: greeting, new: [.user("why?")], kept: greeting))
        #expect(plan.isRetry && !plan.repeatsLastTurn)
    }

    @Test func aRetryWhoseFirstAttemptCameAfterTheSameTextKeepsBoth() throws {
        var session = try ModelSession()
        let first = try request([.user("continue")])
        let planner = TurnPlanner(mode: .auto, maxHistoryMessages: 20)
        try session.store(
            planner.plan(first, after: session.outline), of: first, [.user("continue")], answer: .assistant("…and then")
        )
        // The second "continue" was planned behind it, was refused by the upstream, and comes again.
        let (summary, plan) = try session.summary([.user("continue")], repetition: .known(base: session.nextSeq))
        #expect(summary.kept == session.said)
        #expect(!plan.repeatsLastTurn)
    }

    @Test func aRetryThatOthersOvertookIsRecognisedByItsOwnBase() throws {
        var session = try ModelSession(greeting)
        try session.append(
            [.user("other"), .assistant("turn")], base: 3, request: ModelSession.digest([.user("other")]))
        try session.append([.user("why?"), .assistant("lost")], base: 3, request: ModelSession.digest([.user("why?")]))
        let (known, _) = try session.summary([.user("why?")], repetition: .known(base: 3))
        #expect(known.kept == greeting + [.user("other"), .assistant("turn")])
        #expect(known.injected == known.kept)
        let (claimed, _) = try session.summary([.user("why?")], repetition: .claimed)
        #expect(claimed.kept == session.said)
    }

    @Test func aRetryOfAClientWithItsOwnHistoryTakesTheTurnsPlace() throws {
        var session = try ModelSession(greeting)
        let messages = greeting + [.user("why?")]
        let turn = try request(messages)
        let plan = TurnPlanner(mode: .auto, maxHistoryMessages: 20).plan(turn, after: session.outline)
        try session.store(plan, of: turn, [.user("why?")], answer: .assistant("lost"))
        let (summary, again) = try session.summary(messages, repetition: .claimed)
        #expect(summary == PlanSummary(injected: [], new: [.user("why?")], kept: greeting))
        #expect(again.repeatsLastTurn)
    }

    @Test func aRetryThatAsksForTheLimitCountsWithoutTheRepeatedTurn() throws {
        let session = try ModelSession(
            [.user("1"), .assistant("1")], [.user("2"), .assistant("2")], [.user("3"), .assistant("3")])
        let (summary, _) = try session.summary([.user("3")], maxMessages: 2, repetition: .claimed)
        #expect(summary.injected == [.user("2"), .assistant("2")])
        #expect(summary.dropped == 2)
    }

    @Test func anAttemptIsRememberedUntilOthersPushItOut() throws {
        let log = AttemptLog(capacity: 2)
        let session = SessionKey(owner: .generate(), session: .generate())
        let keys = try ["a", "b", "c"].map { AttemptLog.Key(session, try request([.user($0)])) }
        log.note(keys[0], base: 1)
        log.note(keys[1], base: 2)
        log.note(keys[1], base: 3)
        #expect(log.base(of: keys[0]) == 1 && log.base(of: keys[1]) == 3)
        log.note(keys[2], base: 4)
        #expect(log.base(of: keys[0]) == nil && log.base(of: keys[1]) == 3 && log.base(of: keys[2]) == 4)
        let other = AttemptLog.Key(session, try request([.user("b")]), idempotencyKey: "k")
        #expect(log.base(of: other) == nil)
    }

    @Test func aRefusedAttemptIsRecognisedByItsHeadUntilItWasPlannedAgain() throws {
        let log = AttemptLog()
        let key = AttemptLog.Key(
            SessionKey(owner: .generate(), session: .generate()), try request([.user("continue")]))
        func head(_ fields: [(String, String)], _ target: String = "/v1/chat/completions") -> RequestHead {
            let same = [("Authorization", "Bearer k"), ("X-Session-ID", "s"), ("Content-Length", "60")]
            return RequestHead(method: .POST, target: target, headers: HTTPHeaders(fields.isEmpty ? same : fields))
        }
        log.note(key, base: 1)
        #expect(log.base(of: key, sentAgain: head([])) == 1)
        log.noteRefusal(head([]))
        #expect(log.base(of: key, sentAgain: head([])) == .max)
        // Another user's, another session's, a longer one, another place; and what is no repetition.
        for (index, value) in [(0, "Bearer other"), (1, "t"), (2, "61")] {
            var fields = [("Authorization", "Bearer k"), ("X-Session-ID", "s"), ("Content-Length", "60")]
            fields[index].1 = value
            #expect(log.base(of: key, sentAgain: head(fields)) == 1)
        }
        #expect(log.base(of: key, sentAgain: head([], "/chat/completions")) == 1)
        #expect(log.base(of: key) == 1)
        log.note(key, base: 3)
        #expect(log.base(of: key, sentAgain: head([])) == 3)
    }
}
