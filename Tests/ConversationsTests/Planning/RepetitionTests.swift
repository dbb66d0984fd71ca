import Persistence
import Testing

@testable import Conversations

@Suite struct RepetitionTests {
    private let greeting: [Said] = [.user("hi"), .assistant("hello")]

    private func request(_ messages: [Said]) throws -> IncomingTurn {
        IncomingTurn(messages: try messages.map { try $0.incoming })
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
        let owner = UniqueID.generate()
        let keys = try ["a", "b", "c"].map { AttemptLog.Key(owner, "s", try request([.user($0)])) }
        log.note(keys[0], base: 1)
        log.note(keys[1], base: 2)
        log.note(keys[1], base: 3)
        #expect(log[keys[0]] == 1 && log[keys[1]] == 3)
        log.note(keys[2], base: 4)
        #expect(log[keys[0]] == nil && log[keys[1]] == 3 && log[keys[2]] == 4)
        let others = [
            AttemptLog.Key(owner, "s", try request([.user("b")]), idempotencyKey: "k"),
            AttemptLog.Key(owner, "t", try request([.user("b")])),
            AttemptLog.Key(.generate(), "s", try request([.user("b")])),
        ]
        for other in others { #expect(log[other] == nil) }
        log.noteRefusal(keys[1])
        #expect(log[keys[1]] == .max)
    }
}
