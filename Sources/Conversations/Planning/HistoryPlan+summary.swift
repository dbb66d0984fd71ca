extension HistoryPlan {
    /// The response header that carries `summary`.
    package static let headerName = "x-turnpike-history"

    /// What the client is told: how much of the history the model sees, and why.
    package var summary: String {
        var text = ""
        text.reserveCapacity(128)
        func add(_ name: String, _ value: Int) {
            text += name
            text += String(value)
        }
        add("injected=", injectedCount)
        add("; dropped=", droppedCount)
        if supersededCount > 0 { add("; superseded=", supersededCount) }
        if repeatsLastTurn { add("; retry=", 1) }
        if let tokens { add("; tokens=", tokens) }
        if let budget { add("; budget=", budget) }
        if isPartial { add("; partial=", 1) }
        text += "; reason="
        text += reason.rawValue
        return text
    }
}
