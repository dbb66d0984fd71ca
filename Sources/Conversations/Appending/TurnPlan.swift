import Persistence

/// Where a turn goes and what it takes the place of: decided under the session's lock, from the session's row alone.
struct TurnPlan {
    let firstSeq: Int64
    /// Active messages in this range are superseded by the turn.
    let superseded: Range<Int64>?
    /// It was asked to supersede, and may not.
    let isAppendedInstead: Bool
}

extension Session {
    /// Plans a turn and moves the session's row on, except for the number of superseded messages.
    mutating func append(_ turn: TurnDraft, at time: Timestamp) -> TurnPlan {
        let plan = plan(turn)
        if let superseded = plan.superseded { contextStartSeq = min(contextStartSeq, superseded.lowerBound) }
        nextSeq += Int64(turn.messages.count)
        version += 1
        lastTurn = LastTurn(
            id: turn.id, firstSeq: plan.firstSeq, baseSeq: turn.baseSeq, requestDigest: turn.requestDigest)
        counters.messages += Int64(turn.messages.count)
        counters.turns += 1
        counters.promptTokens += Int64(turn.promptTokens ?? 0)
        counters.completionTokens += Int64(turn.completionTokens ?? 0)
        systemDigest = turn.system?.digest ?? systemDigest
        updatedAt = time
        lastMessageAt = time
        return plan
    }

    private func plan(_ turn: TurnDraft) -> TurnPlan {
        let retried = turn.supersedes.retriesLastTurn ? attempt(repeatedBy: turn) : nil
        // What the turn's exchange did not know: everything from its base on, except the attempt that it repeats.
        let isUpToDate = (retried?.firstSeq ?? nextSeq) <= turn.baseSeq
        var start = retried?.firstSeq
        if let from = turn.supersedes.fromSeq, isUpToDate { start = min(from, start ?? from) }
        let isAppendedInstead = turn.supersedes.fromSeq != nil && !isUpToDate
        guard let start, start < nextSeq else {
            return TurnPlan(firstSeq: nextSeq, superseded: nil, isAppendedInstead: isAppendedInstead)
        }
        return TurnPlan(firstSeq: nextSeq, superseded: start..<nextSeq, isAppendedInstead: isAppendedInstead)
    }

    /// A digest alone would take a repeated "yes" for a retry: the base must be the same too.
    private func attempt(repeatedBy turn: TurnDraft) -> LastTurn? {
        guard let lastTurn, lastTurn.requestDigest == turn.requestDigest, lastTurn.baseSeq == turn.baseSeq else {
            return nil
        }
        return lastTurn
    }
}
