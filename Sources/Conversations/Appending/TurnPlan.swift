import Persistence

/// Where a turn goes and what it takes the place of: decided under the session's lock, from the session's row alone.
struct TurnPlan {
    let firstSeq: Int64
    /// Active messages in this range are superseded by the turn.
    let superseded: Range<Int64>?
    /// It was asked to supersede, and may not.
    let isAppendedInstead: Bool
    /// Only what lies before the turn's base is superseded.
    var isInPart = false
    /// Where the later attempt begins that supersedes this turn, which is then all of `superseded`.
    var overtakenBy: Int64?
}

extension Session {
    /// Plans a turn and moves the session's row on, except for the number of superseded messages.
    ///
    /// - Parameters:
    ///   - retry: where a later attempt of the same request begins, which is stored already.
    ///   - knowsBase: what lies before the turn's base is what its exchange knew, whatever came behind it.
    mutating func append(
        _ turn: TurnDraft, overtakenBy retry: Int64? = nil, knowsBase: Bool = false, at time: Timestamp
    ) -> TurnPlan {
        let plan = retry.map { overtaken(turn, by: $0) } ?? plan(turn, knowsBase: knowsBase)
        let movesStart = knows(turn)
        change { values in
            if retry == nil { values.move(to: turn, plan, movesStart: movesStart) }
            values.add(turn, at: time)
        }
        return plan
    }

    /// A turn that is stored as superseded from the beginning: nobody waits for it any more.
    private func overtaken(_ turn: TurnDraft, by retry: Int64) -> TurnPlan {
        TurnPlan(
            firstSeq: nextSeq, superseded: nextSeq..<nextSeq + Int64(turn.messages.count), isAppendedInstead: false,
            overtakenBy: retry)
    }

    private func plan(_ turn: TurnDraft, knowsBase: Bool) -> TurnPlan {
        let retried = attempt(repeatedBy: turn)
        // What the turn's exchange did not know: everything from its base on, except the attempt that it repeats.
        let isUpToDate = knows(turn) && (retried?.firstSeq ?? nextSeq) <= turn.baseSeq
        var superseded = retried.map { $0.firstSeq..<nextSeq }
        var (isAppendedInstead, isInPart) = (false, false)
        if let from = turn.supersedes.fromSeq {
            if isUpToDate {
                superseded = min(from, retried?.firstSeq ?? from, nextSeq)..<nextSeq
            } else if knowsBase, retried == nil, from < turn.baseSeq {
                // What it knew it holds itself, so that would be there twice; what came meanwhile stays.
                superseded = from..<turn.baseSeq
                isInPart = true
            } else {
                isAppendedInstead = true
            }
        }
        return TurnPlan(
            firstSeq: nextSeq, superseded: superseded.flatMap { $0.isEmpty ? nil : $0 },
            isAppendedInstead: isAppendedInstead, isInPart: isInPart)
    }

    /// Whether the newest turn is the one that the turn's exchange knew, where that has to be checked.
    private func knows(_ turn: TurnDraft) -> Bool { turn.knownTurn.map { $0 == KnownTurn(self) } ?? true }

    /// The newest turn, if it is what came of another attempt of the request that `turn` answers.
    ///
    /// One idempotency key is one request, whatever others said between its attempts, and whether this process knew of the
    /// other one. Without a key its client has to say that it repeats it, and a digest alone would take a repeated "yes"
    /// for a retry: the base must be the same too.
    func attempt(repeatedBy turn: TurnDraft) -> LastTurn? {
        guard let lastTurn, lastTurn.requestDigest == turn.requestDigest,
            lastTurn.idempotencyKey == turn.idempotencyKey
        else { return nil }
        if turn.idempotencyKey != nil { return lastTurn }
        return turn.supersedes.retriesLastTurn && lastTurn.baseSeq == turn.baseSeq ? lastTurn : nil
    }
}

extension SessionSettings {
    /// Whether a turn says what the session was begun with: its first answer does.
    func lacksModel(of turn: TurnDraft) -> Bool {
        !turn.model.isEmpty && (model == nil || (provider == nil && !turn.provider.isEmpty))
    }

    fileprivate mutating func take(modelOf turn: TurnDraft) {
        model = model ?? turn.model
        if !turn.provider.isEmpty { provider = provider ?? turn.provider }
    }
}

extension Session.Values {
    fileprivate mutating func add(_ turn: TurnDraft, at time: Timestamp) {
        if settings.title.isEmpty, let title = turn.title { settings.title = title }
        if settings.lacksModel(of: turn) { settings.take(modelOf: turn) }
        nextSeq += Int64(turn.messages.count)
        version += 1
        counters.messages += Int64(turn.messages.count)
        counters.turns += 1
        counters.promptTokens += Int64(turn.promptTokens ?? 0)
        counters.completionTokens += Int64(turn.completionTokens ?? 0)
        updatedAt = time
        lastMessageAt = time
        expiresAt = settings.expiry(after: time)
    }

    /// What later requests find of the newest turn.
    fileprivate mutating func move(to turn: TurnDraft, _ plan: TurnPlan, movesStart: Bool) {
        // Back it moves only where nothing was stored since the turn was planned: else the position may be a newer one.
        if let start = turn.contextStart, movesStart {
            contextStartSeq = turn.baseSeq == nextSeq ? start : max(contextStartSeq, start)
        }
        if let superseded = plan.superseded { contextStartSeq = min(contextStartSeq, superseded.lowerBound) }
        lastTurn = LastTurn(
            id: turn.id, firstSeq: plan.firstSeq, baseSeq: turn.baseSeq, requestDigest: turn.requestDigest,
            idempotencyKey: turn.idempotencyKey)
        systemDigest = turn.system?.digest ?? systemDigest
    }
}
