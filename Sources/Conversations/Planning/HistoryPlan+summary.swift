extension HistoryPlan {
    /// The response header that carries `summary`.
    package static let headerName = "x-turnpike-history"

    /// What the client is told: how much of the history the model sees, and why.
    package var summary: String {
        var fields = ["injected=\(injectedCount)", "dropped=\(droppedCount)"]
        if supersededCount > 0 { fields.append("superseded=\(supersededCount)") }
        if repeatsLastTurn { fields.append("retry=1") }
        if let tokens { fields.append("tokens=\(tokens)") }
        if let budget { fields.append("budget=\(budget)") }
        if isPartial { fields.append("partial=1") }
        fields.append("reason=\(reason.rawValue)")
        return fields.joined(separator: "; ")
    }
}
