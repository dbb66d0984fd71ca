import Testing
import TurnpikeKit

@testable import Conversations

@Suite struct HistoryLimitTests {
    private func turn(_ number: Int) -> [Said] { [.user("q\(number)"), .assistant("a\(number)")] }

    @Test(arguments: [(0, 0), (1, 2), (2, 2), (3, 2), (4, 4), (5, 4), (6, 6), (100, 6)])
    func theNewestMessagesAreRoundedDownToWholeTurns(limit: Int, injected: Int) throws {
        let session = try ModelSession(turn(1), turn(2), turn(3))
        let (summary, plan) = try session.summary([.user("more")], maxMessages: limit)
        #expect(summary.injected == session.said.suffix(injected))
        #expect(summary.dropped == 6 - injected)
        #expect(plan.reason == (injected == 6 ? .all : .messageLimit))
    }

    @Test func theNewestAreKeptAndNotTheOldest() throws {
        let session = try ModelSession(turn(1), turn(2), turn(3))
        #expect(try session.summary([.user("more")], maxMessages: 2).0.injected == turn(3))
    }

    @Test func aSingleTurnThatIsLongerStaysWhole() throws {
        let long: [Said] = [.user("a"), .user("b"), .user("c"), .user("d"), .assistant("e")]
        let session = try ModelSession(turn(1), long)
        #expect(try session.summary([.user("more")], maxMessages: 3).0.injected == long)
    }

    @Test func aCallIsNeverSeparatedFromItsResults() throws {
        let call: [Said] = [.user("weather?"), .assistant("call")]
        let result: [Said] = [.tool("sunny"), .assistant("It is sunny.")]
        let session = try ModelSession(turn(1), call, result)
        #expect(try session.summary([.user("more")], maxMessages: 2).0.injected == call + result)
        #expect(try session.summary([.user("more")], maxMessages: 5).0.injected == call + result)
    }

    @Test(arguments: 0...3) func aRunningToolRoundIsNeverCut(limit: Int) throws {
        let round: [[Said]] = [
            [.user("weather?"), .assistant("call 1")], [.tool("sunny"), .assistant("call 2")],
        ]
        let session = try ModelSession(turn(1), round[0], round[1])
        let (summary, _) = try session.summary([.tool("20 degrees")], maxMessages: limit)
        #expect(summary.injected == round[0] + round[1])
        #expect(summary.dropped == 2)
    }

    @Test func aWindowThatBeginsWithAResultGetsItsCallWhateverTheLimit() throws {
        let session = try ModelSession(
            turn(1), [.user("weather?"), .assistant("call")], [.tool("sunny"), .assistant("It is sunny.")])
        let (summary, _) = try session.summary(
            [.tool("sunny"), .assistant("It is sunny."), .user("thanks")], maxMessages: 1)
        #expect(summary.injected == [.user("weather?"), .assistant("call")])
        #expect(summary.new == [.user("thanks")])
    }

    @Test func whatTheClientRepeatsCountsAndIsNeverCut() throws {
        let session = try ModelSession(turn(1), turn(2), turn(3), turn(4))
        let (summary, _) = try session.summary(turn(3) + turn(4) + [.user("more")], maxMessages: 6)
        #expect(summary.injected == turn(2))
        #expect(summary.dropped == 2)
        let (tight, _) = try session.summary(turn(3) + turn(4) + [.user("more")], maxMessages: 2)
        #expect(tight.injected == [])
        #expect(tight.new == [.user("more")])
        #expect(tight.dropped == 4)
    }

    @Test func anOutlineOfTheNewestTurnsPlansAsTheWholeOneDoes() throws {
        let session = try ModelSession(turn(1), turn(2), turn(3), turn(4))
        let incoming = IncomingTurn(messages: [try Said.user("more").incoming])
        let planner = TurnPlanner(mode: .auto, maxHistoryMessages: 4)
        var newest = session.outline
        newest.entries.removeFirst(4)
        #expect(planner.canPlan(with: newest))
        #expect(planner.plan(incoming, after: newest) == planner.plan(incoming, after: session.outline))
    }

    @Test func anOutlineThatBeginsInsideAToolRoundDoesNotTellWhereToBegin() throws {
        let session = try ModelSession(
            [.user("weather?"), .assistant("call")], [.tool("sunny"), .assistant("It is sunny.")])
        var newest = session.outline
        newest.entries.removeFirst(2)
        #expect(!TurnPlanner(mode: .auto, maxHistoryMessages: 2).canPlan(with: newest))
        #expect(TurnPlanner(mode: .auto, maxHistoryMessages: 2).canPlan(with: session.outline))
    }
}
