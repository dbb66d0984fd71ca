import TurnpikeKit

@testable import Conversations

/// The rules of planning a second time, as literally and as slowly as they can be written: the oracle of the
/// randomised tests.
enum NaivePlan {
    static func summary(
        of messages: [Said], on session: ModelSession, mode: HistoryMode, maxMessages: Int
    ) -> PlanSummary {
        let stored = session.said
        let answers = messages.indices.filter { messages[$0].role == .assistant }
        switch mode {
        case .append: return injecting(messages, session, known: 0, maxMessages)
        case .replace: return view(messages, session)
        case .auto, .off:
            guard let lastAnswer = answers.last else { return injecting(messages, session, known: 0, maxMessages) }
            for count in (0...min(messages.count, stored.count)).reversed() where count > lastAnswer {
                if Array(messages[..<count]) == Array(stored.suffix(count)) {
                    return injecting(messages, session, known: count, maxMessages)
                }
            }
            return view(messages, session)
        }
    }

    private static func view(_ messages: [Said], _ session: ModelSession) -> PlanSummary {
        let stored = session.active
        var common = 0
        while common < messages.count, common < stored.count, messages[common] == stored[common].said { common += 1 }
        let ends = (0...stored.count).filter { isTurnEnd($0, stored) && $0 <= common }
        let kept = ends.max() ?? 0
        return PlanSummary(
            injected: [], new: Array(messages[kept...]), kept: Array(session.said[..<kept]), dropped: 0)
    }

    private static func isTurnEnd(_ index: Int, _ stored: [ModelSession.Stored]) -> Bool {
        index == 0 || index == stored.count || stored[index - 1].outline.turnID != stored[index].outline.turnID
    }

    private static func injecting(
        _ messages: [Said], _ session: ModelSession, known: Int, _ maxMessages: Int
    ) -> PlanSummary {
        let stored = session.active
        let end = stored.count - known
        let begins = stored.indices.filter {
            $0 == 0 || (isTurnEnd($0, stored) && stored[$0].said.role != .tool)
        }
        var start = stored.count
        if let fitting = begins.filter({ stored.count - $0 <= maxMessages }).min() {
            start = fitting
        } else if maxMessages > 0, let last = begins.max() {
            start = last
        }
        if messages.first?.role == .tool, let last = begins.filter({ $0 < end }).max() { start = min(start, last) }
        start = min(start, end)
        return PlanSummary(
            injected: stored[start..<end].map(\.said), new: Array(messages.dropFirst(known)), kept: session.said,
            dropped: start)
    }
}
