package import NIOCore
import OpenAIWire

extension PlannedHistory {
    /// The plan in words, for a dry run: what the header says, and the numbers behind it.
    package func report(isShadow: Bool) -> ByteBuffer {
        let fitted = latest
        let plan = fitted.plan
        return JSONWriter.object { json in
            json.member("mode", isShadow ? "shadow" : "inject")
            json.member("injected", plan.injectedCount)
            json.member("dropped", plan.droppedCount)
            json.member("superseded", plan.supersededCount)
            json.member("new_messages", plan.newMessages.count)
            json.member("reason", plan.reason.rawValue)
            json.member("truncation", rules.truncation.rawValue)
            json.member("max_history_messages", rules.maxMessages)
            json.member("retry", plan.repeatsLastTurn)
            json.member("partial", plan.isPartial)
            if let tokens = plan.tokens { json.member("tokens", tokens) }
            guard let budget = fitted.budget else { return }
            json.member("budget", max(0, budget.forHistory))
            json.member("context_window", budget.contextWindow)
            json.member("context_window_assumed", budget.isAssumed)
            json.member("reserved_output", budget.reserved)
            json.member("request_tokens", budget.fixed)
        }
    }
}
