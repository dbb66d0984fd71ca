import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import Conversations

/// Conversations by chance, with few different words so that everything repeats: the planner against its oracle.
@Suite struct RandomConversationTests {
    @Test(arguments: UInt64(1)...24) func thePlannerAgreesWithTheLiteralRules(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var session = try ModelSession()
        for step in 0..<120 {
            let messages = request(on: session, &random)
            let mode: HistoryMode = random.pick([.auto, .auto, .auto, .auto, .append, .replace])
            let limit = random.pick([0, 1, 2, 3, 5, 8, 1_000])
            let (summary, plan) = try session.summary(messages, mode: mode, maxMessages: limit)
            let expected = NaivePlan.summary(of: messages, on: session, mode: mode, maxMessages: limit)
            guard summary == expected else {
                Issue.record("seed \(seed), step \(step): \(mode) \(limit) \(messages) on \(session.said)")
                return
            }
            let turn = IncomingTurn(messages: try messages.map { try $0.incoming })
            try session.store(plan, of: turn, summary.new, answer: .assistant(random.pick(["ok", "no", "call"])))
            if session.active.count > 40 { session = try ModelSession() }
        }
    }

    /// Texts never repeat here, so a client that keeps the whole conversation must find exactly it on the server. It
    /// always shows an answer: a first question alone is new by rule a, whatever is stored.
    @Test(arguments: UInt64(1)...12) func theServerHoldsWhatAClientWithItsOwnHistoryShows(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed &* 7_919)
        var session = try ModelSession()
        var view: [Said] = []
        for step in 0..<80 {
            switch random.below(5) {
            case 0 where view.count >= 4:  // regenerates the last answer
                view.removeLast()
            case 1 where view.count >= 4:  // edits an earlier question
                let question = (1 + random.below(view.count / 2 - 1)) * 2
                view.removeSubrange(question...)
                view.append(.user("edited \(step)"))
            default: view.append(.user("question \(step)"))
            }
            let sent = random.below(3) == 0 && view.count > 5 ? Array(view.suffix(3)) : view
            let isWindow = sent.count < view.count && session.said.suffix(2) == sent.prefix(2)
            let messages = isWindow ? sent : view
            let (summary, plan) = try session.summary(messages)
            #expect(summary.kept + summary.new == view)
            #expect(summary.injected + messages == view)
            let turn = IncomingTurn(messages: try messages.map { try $0.incoming })
            try session.store(plan, of: turn, summary.new, answer: .assistant("answer \(step)"))
            view.append(.assistant("answer \(step)"))
            #expect(session.said == view)
        }
    }

    private func request(on session: ModelSession, _ random: inout SeededGenerator) -> [Said] {
        let stored = session.said
        var messages: [Said] = []
        switch random.below(6) {
        case 0: break
        case 1: messages = stored
        case 2: messages = Array(stored.suffix(random.below(stored.count + 1)))
        case 3: messages = Array(stored.prefix(random.below(stored.count + 1)))
        case 4:
            messages = stored
            if !messages.isEmpty { messages[random.below(messages.count)] = random.said() }
        default: messages = (0..<random.below(5)).map { _ in random.said() }
        }
        return messages + (0..<random.below(3)).map { _ in random.pick([.user("yes"), .user("go"), .tool("r")]) }
    }
}

extension SeededGenerator {
    mutating func said() -> Said {
        pick([.user("yes"), .user("go"), .assistant("ok"), .assistant("no"), .assistant("call"), .tool("r")])
    }
}
