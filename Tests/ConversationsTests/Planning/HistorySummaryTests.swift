import Conversations
import Testing

@Suite struct HistorySummaryTests {
    @Test func aPlanSaysWhatTheModelSees() {
        var plan = HistoryPlan(newMessages: [], base: 1)
        #expect(plan.summary == "injected=0; dropped=0; reason=all")
        plan.injectedCount = 18
        plan.droppedCount = 109
        plan.supersededCount = 2
        plan.repeatsLastTurn = true
        plan.tokens = 3_810
        plan.budget = 100
        plan.isPartial = true
        plan.reason = .tokenBudget
        #expect(
            plan.summary
                == "injected=18; dropped=109; superseded=2; retry=1; tokens=3810; budget=100; partial=1; reason=token_budget"
        )
    }

    @Test func theLongestOneHasRoom() {
        var plan = HistoryPlan(newMessages: [], base: 1, reason: .tooLong)
        (plan.injectedCount, plan.droppedCount, plan.supersededCount) = (.min, .max, .max)
        (plan.tokens, plan.budget, plan.repeatsLastTurn, plan.isPartial) = (.min, .min, true, true)
        #expect(plan.summary.hasPrefix("injected=-9223372036854775808; dropped=9223372036854775807; "))
        #expect(plan.summary.hasSuffix("; budget=-9223372036854775808; partial=1; reason=context_length_exceeded"))
    }
}
