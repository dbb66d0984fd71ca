import Testing
import TurnpikeKit

@testable import Conversations

@Suite struct OverlapRuleTests {
    private let greeting: [Said] = [.user("hi"), .assistant("hello")]
    private let question: [Said] = [.user("why?"), .assistant("because")]

    // MARK: Rule a

    @Test func aRequestWithoutAnswersIsNewAndGetsTheHistoryInFront() throws {
        let session = try ModelSession(greeting, question)
        let (summary, plan) = try session.summary([.user("more")])
        #expect(summary == PlanSummary(injected: session.said, new: [.user("more")], kept: session.said))
        #expect(plan.reason == .all)
    }

    @Test func anEmptySessionInjectsNothing() throws {
        let (summary, plan) = try ModelSession().summary([.user("hi")])
        #expect(summary == PlanSummary(injected: [], new: [.user("hi")], kept: []))
        #expect(plan.reason == .empty)
    }

    @Test func aRepeatedYesIsNewEveryTime() throws {
        var session = try ModelSession()
        for round in 1...4 {
            let turn = IncomingTurn(messages: [try Said.user("yes").incoming])
            let plan = TurnPlanner(mode: .auto, maxHistoryMessages: 100).plan(turn, after: session.outline)
            #expect(plan.injectedCount == (round - 1) * 2)
            try session.store(plan, of: turn, [.user("yes")], answer: .assistant("ok"))
        }
        #expect(session.said == Array(repeating: [.user("yes"), .assistant("ok")], count: 4).flatMap(\.self))
    }

    @Test func severalNewUserMessagesAreAllKept() throws {
        let (summary, _) = try ModelSession(greeting).summary([.user("one"), .user("one"), .user("two")])
        #expect(summary.new == [.user("one"), .user("one"), .user("two")])
        #expect(summary.injected == greeting)
    }

    @Test func aRequestWithInstructionsOnlyAsksForAnAnswerToTheHistory() throws {
        let (summary, _) = try ModelSession([.user("hi"), .user("there"), .assistant("hello")]).summary([])
        #expect(summary.new == [])
        #expect(summary.injected.count == 3)
    }

    @Test func toolResultsAloneFollowTheCallThatIsStored() throws {
        let session = try ModelSession(greeting, [.user("weather?"), .assistant("call")])
        let (summary, _) = try session.summary([.tool("sunny")])
        #expect(summary.injected == session.said)
        #expect(summary.new == [.tool("sunny")])
    }

    // MARK: Rule b

    @Test func aClientThatSendsEverythingStoresOnlyWhatIsNew() throws {
        let session = try ModelSession(greeting, question)
        let (summary, plan) = try session.summary(session.said + [.user("more")])
        #expect(summary == PlanSummary(injected: [], new: [.user("more")], kept: session.said))
        #expect(plan.reason == .clientHistory)
    }

    @Test func aWindowThatBeginsInsideTheHistoryGetsWhatPrecedesIt() throws {
        let session = try ModelSession(greeting, question)
        let (summary, plan) = try session.summary(question + [.user("more")])
        #expect(summary == PlanSummary(injected: greeting, new: [.user("more")], kept: session.said))
        #expect(plan.reason == .all)
    }

    @Test func aWindowMayBeginInTheMiddleOfATurn() throws {
        let session = try ModelSession(greeting, question)
        let (summary, _) = try session.summary([.assistant("because"), .user("more")])
        #expect(summary.injected == [.user("hi"), .assistant("hello"), .user("why?")])
        #expect(summary.new == [.user("more")])
    }

    @Test func theLongestRunCounts() throws {
        let yes: [Said] = [.user("yes"), .assistant("ok")]
        let session = try ModelSession(yes, yes, yes)
        let (summary, _) = try session.summary(yes + yes + [.user("yes")])
        #expect(summary == PlanSummary(injected: yes, new: [.user("yes")], kept: session.said))
    }

    @Test func aWindowOfRepeatedTextsMatchesAtTheEndOfTheHistory() throws {
        let yes: [Said] = [.user("yes"), .assistant("ok")]
        let session = try ModelSession(yes, yes)
        // The same messages as a regeneration of the second answer: the rules read them as a third "yes".
        let (summary, _) = try session.summary(yes + [.user("yes")])
        #expect(summary == PlanSummary(injected: yes, new: [.user("yes")], kept: session.said))
    }

    @Test func aRunThatDoesNotCoverEveryAnswerIsNone() throws {
        let session = try ModelSession(greeting)
        let messages = greeting + [.user("why?"), .assistant("invented"), .user("more")]
        let (summary, plan) = try session.summary(messages)
        #expect(summary == PlanSummary(injected: [], new: Array(messages[2...]), kept: greeting))
        #expect(plan.supersededFrom == nil)
    }

    // MARK: Rule c

    @Test func anEditedQuestionSupersedesWhatFollowsIt() throws {
        let session = try ModelSession(greeting, question)
        let (summary, plan) = try session.summary(greeting + [.user("how?")])
        // Rule b sees a run that does not end where the history ends; the view agrees up to the first turn's end.
        #expect(summary == PlanSummary(injected: [], new: [.user("how?")], kept: greeting))
        #expect(plan.reason == .branched)
        #expect(plan.supersededCount == 2)
    }

    @Test func aRegeneratedAnswerSupersedesTheTurnThatHeldIt() throws {
        let session = try ModelSession(greeting, question)
        let (summary, _) = try session.summary(greeting + [.user("why?")])
        #expect(summary == PlanSummary(injected: [], new: [.user("why?")], kept: greeting))
    }

    @Test func anEditInTheMiddleOfATurnGoesBackToItsBeginning() throws {
        let session = try ModelSession(greeting, [.user("one"), .user("two"), .assistant("both")])
        let (summary, _) = try session.summary(greeting + [.user("one"), .user("three")])
        #expect(summary == PlanSummary(injected: [], new: [.user("one"), .user("three")], kept: greeting))
    }

    @Test func aConversationWithNothingInCommonReplacesTheStoredOne() throws {
        let session = try ModelSession(greeting, question)
        let other: [Said] = [.user("a"), .assistant("b"), .user("c")]
        #expect(try session.summary(other).0 == PlanSummary(injected: [], new: other, kept: []))
    }

    @Test func anEditedFirstQuestionStartsOver() throws {
        let session = try ModelSession(greeting, question)
        let messages: [Said] = [.user("hey"), .assistant("hello"), .user("why?")]
        #expect(try session.summary(messages).0 == PlanSummary(injected: [], new: messages, kept: []))
    }

    @Test func aFewShotPrefixIsStoredWithTheFirstTurn() throws {
        let examples: [Said] = [.user("2+2"), .assistant("4")]
        var session = try ModelSession()
        let (first, plan) = try session.summary(examples + [.user("3+3")])
        #expect(first == PlanSummary(injected: [], new: examples + [.user("3+3")], kept: []))
        let turn = IncomingTurn(messages: plan.newMessages)
        try session.store(plan, of: turn, first.new, answer: .assistant("6"))
        let (second, _) = try session.summary(examples + [.user("3+3"), .assistant("6"), .user("4+4")])
        #expect(second == PlanSummary(injected: [], new: [.user("4+4")], kept: session.said))
    }

    @Test func anAnswerThatTheClientChangedIsAnEdit() throws {
        let session = try ModelSession(greeting, question)
        let messages: [Said] = [.user("hi"), .assistant("HELLO"), .user("why?"), .assistant("because"), .user("so")]
        #expect(try session.summary(messages).0 == PlanSummary(injected: [], new: messages, kept: []))
    }

    // MARK: Tool rounds

    @Test func aToolRoundThatTheClientShowsIsFoundInTheHistory() throws {
        let session = try ModelSession([.user("weather?"), .assistant("call")])
        let (summary, _) = try session.summary([.user("weather?"), .assistant("call"), .tool("sunny")])
        #expect(summary == PlanSummary(injected: [], new: [.tool("sunny")], kept: session.said))
    }

    @Test func instructionsInTheMiddleBelongToTheConversation() throws {
        let session = try ModelSession(greeting)
        let (summary, _) = try session.summary(greeting + [.system("be brief"), .user("more")])
        #expect(summary.new == [.system("be brief"), .user("more")])
    }

    // MARK: Modes

    @Test func appendTakesEverythingForNew() throws {
        let session = try ModelSession(greeting)
        let (summary, _) = try session.summary(greeting + [.user("more")], mode: .append)
        #expect(summary == PlanSummary(injected: greeting, new: greeting + [.user("more")], kept: greeting))
    }

    @Test func replaceTakesTheMessagesForTheWholeConversation() throws {
        let session = try ModelSession(greeting, question)
        let (kept, plan) = try session.summary(greeting + [.user("more")], mode: .replace)
        #expect(kept == PlanSummary(injected: [], new: [.user("more")], kept: greeting))
        #expect(plan.reason == .replaced)
        let (started, _) = try session.summary([.user("new topic")], mode: .replace)
        #expect(started == PlanSummary(injected: [], new: [.user("new topic")], kept: []))
    }

    @Test func replaceWithTheStoredConversationAsksForAnotherTurn() throws {
        let session = try ModelSession(greeting)
        #expect(try session.summary(greeting, mode: .replace).0 == PlanSummary(injected: [], new: [], kept: greeting))
    }

    @Test func aDigestOfOtherRulesMatchesNothing() throws {
        var outline = try ModelSession(greeting).outline
        for index in outline.entries.indices { outline.entries[index].digestVersion = 0 }
        let turn = IncomingTurn(messages: try (greeting + [.user("more")]).map { try $0.incoming })
        let plan = TurnPlanner(mode: .auto, maxHistoryMessages: 20).plan(turn, after: outline)
        #expect(plan.supersededFrom == 1)
        #expect(plan.newMessages.count == 3)
    }
}
