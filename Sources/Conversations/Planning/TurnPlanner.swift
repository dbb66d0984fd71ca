package import TurnpikeKit

/// Decides what of a request is new, what goes in front of it, and what it supersedes. Pure: no clock, no I/O.
///
/// C stands for the request's messages behind its leading instructions, H for the active stored ones.
/// - **a.** C has no assistant message: all of it is new; H goes in front.
/// - **b.** C begins with a run that ends where H ends and that covers every assistant message of C: what precedes the
///   run in H goes in front, what follows it in C is new. The longest such run counts.
/// - **c.** Otherwise C is the client's view of the conversation: nothing goes in front. With p the longest common
///   prefix of C and H, cut back to where a turn of H ends, C from p on is new, and H from p on is superseded.
///
/// A request that its client marks as repeated is planned as if the session's newest turn were not there, if that turn
/// answers the same messages on the same base. Equal messages alone never mean a repetition.
package struct TurnPlanner: Sendable {
    package var mode: HistoryMode
    /// The most stored messages that the model may see, those that the client repeats included.
    package var maxHistoryMessages: Int

    package init(mode: HistoryMode, maxHistoryMessages: Int) {
        precondition(mode != .off, "An exchange that leaves its session alone has no plan.")
        precondition(maxHistoryMessages >= 0, "A limit on messages is not negative.")
        self.mode = mode
        self.maxHistoryMessages = maxHistoryMessages
    }

    /// Whether the outline must list every active message. Otherwise the newest ones may do, see `canPlan`.
    package func needsWholeOutline(
        for turn: IncomingTurn, after lastTurn: LastTurn?, repetition: Repetition = .none
    ) -> Bool {
        if repetition.turn(repeatedBy: turn, newest: lastTurn) != nil { return true }
        switch mode {
        case .auto: return turn.showsAnswers
        case .replace: return true
        case .append, .off: return false
        }
    }

    /// Whether an outline of whole turns, of as many of the newest messages as the limit allows, but of one turn at
    /// least, tells where the history begins.
    package func canPlan(with outline: HistoryOutline) -> Bool { HistoryWindow.isDecided(by: outline) }

    /// The plan for `turn`.
    ///
    /// - Parameter hasStoredInstructions: whether the session has instructions of its own.
    package func plan(
        _ turn: IncomingTurn, after outline: HistoryOutline, hasStoredInstructions: Bool = false,
        repetition: Repetition = .none
    ) -> HistoryPlan {
        var plan: HistoryPlan
        if let repeated = repetition.turn(repeatedBy: turn, newest: outline.lastTurn) {
            plan = self.plan(turn, after: outline.before(repeated))
            plan.repeatsLastTurn = true
        } else {
            plan = self.plan(turn, after: outline)
        }
        plan.isRetry = repetition != .none
        if !turn.instructions.isEmpty {
            plan.instructionsToStore = turn.instructions
        } else if hasStoredInstructions {
            plan.instructions = .fromSession
        }
        return plan
    }

    private func plan(_ turn: IncomingTurn, after outline: HistoryOutline) -> HistoryPlan {
        switch overlap(turn, outline) {
        case .none: inject(before: 0, of: turn, outline)
        case .suffix(let count): inject(before: count, of: turn, outline)
        case .view(let kept): take(turn, keeping: kept, outline)
        }
    }

    private func overlap(_ turn: IncomingTurn, _ outline: HistoryOutline) -> Overlap {
        switch mode {
        case .auto: .find(turn.messages, in: outline)
        case .append, .off: .none
        case .replace: .view(turn.messages, of: outline)
        }
    }

    /// Rules a and b: the first `known` messages of the request are the last stored ones.
    private func inject(before known: Int, of turn: IncomingTurn, _ outline: HistoryOutline) -> HistoryPlan {
        let window = HistoryWindow(
            outline, upTo: outline.entries.count - known, maxMessages: maxHistoryMessages,
            continuesRound: turn.messages.first?.role.answersCall ?? false)
        var plan = HistoryPlan(newMessages: Array(turn.messages.dropFirst(known)), base: outline.nextSeq)
        if let first = window.injected.first, let last = window.injected.last {
            plan.injected = outline.entries[first].seq..<outline.entries[last].seq + 1
        }
        plan.injectedCount = window.injected.count
        plan.droppedCount = window.dropped
        plan.reason = reason(window, known: known, outline)
        return plan
    }

    private func reason(_ window: HistoryWindow, known: Int, _ outline: HistoryOutline) -> HistoryPlan.Reason {
        if window.dropped > 0 { return .messageLimit }
        if outline.activeCount == 0 { return .empty }
        return known > 0 && window.injected.isEmpty ? .clientHistory : .all
    }

    /// Rule c: the request is the conversation, of which the first `kept` messages are stored.
    private func take(_ turn: IncomingTurn, keeping kept: Int, _ outline: HistoryOutline) -> HistoryPlan {
        var plan = HistoryPlan(newMessages: Array(turn.messages.dropFirst(kept)), base: outline.nextSeq)
        plan.supersededCount = outline.entries.count - kept
        if kept < outline.entries.count { plan.supersededFrom = outline.entries[kept].seq }
        if mode == .replace {
            plan.reason = .replaced
        } else if plan.supersededCount > 0 {
            plan.reason = .branched
        } else {
            plan.reason = outline.activeCount == 0 ? .empty : .clientHistory
        }
        return plan
    }
}
