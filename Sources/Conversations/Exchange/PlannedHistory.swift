package import NIOCore
package import OpenAIWire
import Persistence
import Synchronization
package import TurnpikeKit

/// The plan of one exchange, which it fits to each target that the request may go to.
///
/// Everything was read before; fitting reads nothing more, so a fallback sends the same snapshot, cut for its own model.
package final class PlannedHistory: RequestFitting {
    /// A plan for one target. A reference: functions that wait hold a word of it.
    package final class Fitted: Sendable {
        package let plan: HistoryPlan
        /// The final messages; `nil` where they are the request's own, byte for byte.
        package let messages: [ByteBuffer]?
        /// What the target's context leaves for the history, where that was worked out.
        let budget: ContextBudget?

        init(plan: HistoryPlan, messages: [ByteBuffer]? = nil, budget: ContextBudget? = nil) {
            self.plan = plan
            self.messages = messages
            self.budget = budget
        }
    }

    /// The request as it was planned, without what is added to it.
    package let request: ChatRequest
    let turn: IncomingTurn
    let snapshot: HistorySnapshot
    let rules: HistoryRules
    let session: SessionKey
    private let models: any TargetModels
    /// The memory of what was read.
    private let held: BufferReservation?
    private let state = Mutex(State())

    private struct State {
        var latest: Fitted?
        var counts: RequestTokens?
        /// The stored messages that are sent without their reasoning, by index, where a target wants it so.
        var withoutReasoning: [ReasoningReplay: [Int: ByteBuffer]] = [:]
        /// What is known of the target that was asked about last: nearly always there is one.
        var model: KnownModel?
    }

    /// A reference: it is asked for several times, and a model's meter is large.
    private final class KnownModel: Sendable {
        let target: RouteTarget
        let model: TargetModel

        init(_ target: RouteTarget, _ model: TargetModel) {
            self.target = target
            self.model = model
        }
    }

    init(
        _ request: ChatRequest, _ turn: IncomingTurn, _ snapshot: HistorySnapshot, in session: SessionKey,
        rules: HistoryRules, models: any TargetModels, held: BufferReservation? = nil
    ) {
        self.request = request
        self.turn = turn
        self.snapshot = snapshot
        self.session = session
        self.rules = rules
        self.models = models
        self.held = held
    }

    private func model(of target: RouteTarget) -> TargetModel {
        let known = state.withLock { $0.model }
        if let known, known.target.isIdentical(to: target) { return known.model }
        let asked = KnownModel(target, models.model(of: target))
        state.withLock { $0.model = asked }
        return asked.model
    }

    /// How many bytes fitting to all of `targets` may have to look at: the request, and for each way of counting the stored
    /// messages whose tokens were not counted that way. All of them where calls of tools are shown, or reasoning is left out.
    package func size(among targets: [RouteTarget]) -> Int {
        // Nearly always there is one.
        if targets.count == 1 { return size(reading(for: targets[0])) }
        return Set(targets.map(reading)).reduce(0) { $0 + size($1) }
    }

    /// What fitting to a target looks at.
    private struct Reading: Hashable {
        let encoding: Int?
        let isOfAll: Bool
    }

    private func reading(for target: RouteTarget) -> Reading {
        Reading(
            encoding: model(of: target).meter.encoding, isOfAll: snapshot.rounds != nil || target.reasoning != .keep)
    }

    private func size(_ reading: Reading) -> Int {
        snapshot.stored.withMessages { messages in
            var size = request.bytes.readableBytes
            for index in messages.indices
            where reading.isOfAll || reading.encoding == nil || messages[index].tokenEncoding != reading.encoding {
                size += messages[index].body.readableBytes
            }
            return size
        }
    }

    package func size(for target: RouteTarget) -> Int { size(among: [target]) }

    /// The plan for the target that was asked for last: the one that the answer comes from.
    package var latest: Fitted { state.withLock { $0.latest } ?? Fitted(plan: snapshot.plan) }

    /// Fits the history to `target`, and remembers it as the latest.
    ///
    /// - Throws: `context_length_exceeded` where what the client itself sent is too long for the target's model.
    package func fit(to target: RouteTarget) throws(GatewayError) -> Fitted {
        let fitted = try fitted(to: target)
        state.withLock { $0.latest = fitted }
        return fitted
    }

    /// Fits the history to the first of `targets` whose model has room for what the client itself sent.
    ///
    /// - Returns: the targets that have room, and the plan for the first of them.
    /// - Throws: the first one's `context_length_exceeded` where none has.
    package func fit(among targets: [RouteTarget]) throws(GatewayError) -> (targets: [RouteTarget], first: Fitted) {
        var refusal: GatewayError?
        var roomy: [RouteTarget] = []
        var first: Fitted?
        for target in targets {
            do {
                let fitted = try fitted(to: target)
                first = first ?? fitted
                roomy.append(target)
            } catch {
                refusal = refusal ?? error
            }
        }
        guard let first else { throw refusal ?? .internalError("a route plan without targets") }
        state.withLock { $0.latest = first }
        return (roomy, first)
    }

    /// Fits the history to `target` for a report only: what the client sent may be too long then.
    package func observe(_ target: RouteTarget) {
        do {
            _ = try fit(to: target)
        } catch {
            var plan = snapshot.plan
            plan.reason = .tooLong
            state.withLock { [plan] in $0.latest = Fitted(plan: plan) }
        }
    }

    /// The meter of a target, and the tokens of the turn's new messages if they have been counted with it.
    func counts(for target: RouteTarget) -> (meter: any TokenMeter, new: [Int]?) {
        let meter = model(of: target).meter
        let counted = state.withLock { $0.counts }
        guard let counted, meter.encoding != nil, counted.encoding == meter.encoding else { return (meter, nil) }
        return (meter, Array(counted.messages.suffix(snapshot.plan.newMessages.count)))
    }

    private func fitted(to target: RouteTarget) throws(GatewayError) -> Fitted {
        let model = model(of: target)
        if snapshot.stored.isEmpty, snapshot.replayed == nil, ContextBudget.surelyFits(request, turn, model) {
            return Fitted(plan: snapshot.plan, messages: messages(from: 0, nil, target.reasoning))
        }
        let reasoning = target.reasoning
        let again = callsShownAgain(model.meter, reasoning)
        let budget = ContextBudget(model, request, fixed: counts(model.meter).total + again, rules)
        let candidates = candidates(model.meter, snapshot.replayed, reasoning)
        let required = required
        let cut = HistoryCut(candidates, limits(budget, required: required))
        let kept = required.map { candidates[$0...].reduce(0) { $0 + $1.tokens } } ?? 0
        // Margins are there to cut the history safely: only what most likely does not fit is refused.
        if budget.refusal(of: budget.fixed + kept) != nil,
            let refusal = budget.refusal(of: likelyTokens(from: required, model.meter, reasoning))
        {
            throw refusal
        }
        guard !candidates.isEmpty || snapshot.replayed != nil else {
            return Fitted(plan: snapshot.plan, messages: messages(from: 0, nil, reasoning), budget: budget)
        }
        let replayed = snapshot.replayed(from: cut.start)
        var plan = plan(cut, budget, replayed)
        // Results whose calls are cut away are not sent.
        if replayed != nil, cut.start > 0 {
            plan.tokens = self.candidates(model.meter, replayed, reasoning)[cut.start...].reduce(0) { $0 + $1.tokens }
        }
        return Fitted(plan: plan, messages: messages(from: cut.start, replayed, reasoning), budget: budget)
    }

    /// The tokens of calls that are shown again because the request answers them.
    private func callsShownAgain(_ meter: any TokenMeter, _ reasoning: ReasoningReplay) -> Int {
        guard let calls = snapshot.replayed?.calls, !calls.isEmpty else { return 0 }
        return calls.reduce(0) {
            $0 + ($1.key < snapshot.stored.count ? 0 : meter.tokens(ofMessage: reasoning.applied(to: $1.value)))
        }
    }

    /// The stored messages that are sent without their reasoning, by index; looked at once. Nothing where it is kept.
    private func withoutReasoning(_ reasoning: ReasoningReplay) -> [Int: ByteBuffer] {
        if reasoning == .keep { return [:] }
        if let known = state.withLock({ $0.withoutReasoning[reasoning] }) { return known }
        var found: [Int: ByteBuffer] = [:]
        for index in snapshot.stored.indices where snapshot.stored[index].outline.role == .assistant {
            guard let body = shown(index, snapshot.replayed) else { continue }
            let applied = reasoning.applied(to: body)
            if applied.readableBytes != body.readableBytes { found[index] = applied }
        }
        state.withLock { [found] in $0.withoutReasoning[reasoning] = found }
        return found
    }

    /// The stored message at `index` as it is shown, its reasoning included; nil where it is left out.
    private func shown(_ index: Int, _ replayed: ReplayedMessages?) -> ByteBuffer? {
        if let replayed { replayed.bodies[index] } else { snapshot.stored[index].body }
    }

    private func limits(_ budget: ContextBudget, required: Int?) -> HistoryCut.Limits {
        let tokens = max(0, budget.forHistory)
        let isStable = rules.truncation == .stable
        return HistoryCut.Limits(
            tokens: tokens, lowTokens: rules.low(tokens), leastTokens: rules.least(tokens),
            messages: isStable ? rules.maxMessages : nil,
            lowMessages: rules.low(rules.maxMessages),
            repeated: turn.messages.count - snapshot.plan.newMessages.count, unlisted: snapshot.plan.droppedCount,
            contextStart: snapshot.contextStart, required: required)
    }

    /// Where the round begins that the request's first message goes on with; nil where the call that it answers is shown
    /// again in front of it, whatever else is there.
    private var required: Int? {
        guard turn.messages.first?.role.answersCall == true, snapshot.replayed?.calls[snapshot.stored.count] == nil
        else { return nil }
        return snapshot.stored.indices.last { snapshot.mayBegin($0) }
    }

    private func candidates(
        _ meter: any TokenMeter, _ replayed: ReplayedMessages?, _ reasoning: ReasoningReplay
    ) -> [HistoryCut.Candidate] {
        let encoding = meter.encoding
        let withoutReasoning = withoutReasoning(reasoning)
        return snapshot.stored.withMessages { messages in
            var candidates: [HistoryCut.Candidate] = []
            candidates.reserveCapacity(messages.count)
            for index in messages.indices {
                let isKnown = encoding != nil && messages[index].tokenEncoding == encoding
                var tokens = isKnown ? messages[index].outline.tokens : nil
                if replayed != nil || !withoutReasoning.isEmpty {
                    let again = replayed?.calls[index].map { meter.tokens(ofMessage: reasoning.applied(to: $0)) }
                    let body = shown(index, replayed).map { withoutReasoning[index] ?? $0 }
                    // What is left of a message is shorter than it was.
                    if body?.readableBytes != messages[index].body.readableBytes { tokens = nil }
                    tokens = (again ?? 0) + (tokens ?? body.map { meter.tokens(ofMessage: $0) } ?? 0)
                }
                candidates.append(
                    HistoryCut.Candidate(
                        seq: messages[index].outline.seq,
                        tokens: tokens ?? meter.tokens(ofMessage: messages[index].body),
                        mayBegin: HistorySnapshot.mayBegin(index, messages)))
            }
            return candidates
        }
    }

    /// The tokens of what has to be sent, without margins: the request and the stored messages from `required` on.
    private func likelyTokens(from required: Int?, _ meter: any TokenMeter, _ reasoning: ReasoningReplay) -> Int {
        var tokens = meter.likelyTokens(besideMessagesOf: request)
        for body in turn.instructions + snapshot.instructions { tokens += meter.likelyTokens(ofMessage: body) }
        for message in turn.messages { tokens += meter.likelyTokens(ofMessage: message.body) }
        let replayed = snapshot.replayed
        let first = required ?? snapshot.stored.count
        for call in replayed?.calls ?? [:] where call.key >= first {
            tokens += meter.likelyTokens(ofMessage: reasoning.applied(to: call.value))
        }
        let withoutReasoning = withoutReasoning(reasoning)
        for index in first..<snapshot.stored.count {
            guard let body = shown(index, replayed) else { continue }
            tokens += meter.likelyTokens(ofMessage: withoutReasoning[index] ?? body)
        }
        return tokens
    }

    /// The tokens of what is sent in any case, counted once per encoding.
    private func counts(_ meter: any TokenMeter) -> RequestTokens {
        let known = state.withLock { $0.counts }
        if let known, known.encoding != nil, known.encoding == meter.encoding { return known }
        let counts = RequestTokens(request, turn, instructions: snapshot.instructions, meter)
        state.withLock { $0.counts = counts }
        return counts
    }
}

// MARK: - What comes out

extension PlannedHistory {
    private func plan(_ cut: HistoryCut, _ budget: ContextBudget, _ replayed: ReplayedMessages?) -> HistoryPlan {
        var plan = snapshot.plan
        let sent = snapshot.stored[cut.start...]
        plan.injected = sent.first.flatMap { first in sent.last.map { first.seq..<$0.seq + 1 } }
        plan.injectedCount = sent.count
        if let replayed {
            plan.injectedCount = replayed.shown.count
            plan.isPartial = replayed.shown.contains { $0 >= 0 && snapshot.stored[$0].isPartial }
        }
        plan.droppedCount += snapshot.stored.count - plan.injectedCount
        plan.tokens = cut.tokens
        plan.budget = max(0, budget.forHistory)
        if cut.moves { plan.contextStart = sent.first?.seq ?? plan.baseSeq }
        if cut.start > 0 {
            plan.reason = !cut.isByTokens ? .messageLimit : budget.isAssumed ? .assumedContext : .tokenBudget
        } else if budget.isAssumed, plan.reason == .all {
            plan.reason = .assumedContext
        }
        return plan
    }

    /// The final messages with the stored ones from `start` on; `nil` where the request's own are all there is.
    private func messages(from start: Int, _ replayed: ReplayedMessages?, _ reasoning: ReasoningReplay) -> [ByteBuffer]?
    {
        guard !snapshot.stored.isEmpty || !snapshot.instructions.isEmpty || replayed != nil else { return nil }
        var messages: [ByteBuffer] = []
        messages.reserveCapacity(
            turn.instructions.count + snapshot.instructions.count + snapshot.stored.count + turn.messages.count)
        messages += turn.instructions
        messages += snapshot.instructions
        let withoutReasoning = withoutReasoning(reasoning)
        snapshot.stored.withMessages { stored in
            // Nearly always they are sent as they are stored.
            guard replayed != nil || !withoutReasoning.isEmpty else {
                for index in start..<stored.count { messages.append(stored[index].body) }
                return
            }
            for index in start..<stored.count {
                if let call = replayed?.calls[index] { messages.append(reasoning.applied(to: call)) }
                if let body = replayed == nil ? stored[index].body : replayed?.bodies[index] {
                    messages.append(withoutReasoning[index] ?? body)
                }
            }
        }
        for (index, message) in turn.messages.enumerated() {
            if let call = replayed?.calls[snapshot.stored.count + index] {
                messages.append(reasoning.applied(to: call))
            }
            messages.append(message.body)
        }
        return messages
    }

    package func edits(for target: RouteTarget) throws -> [JSONEdit] {
        let edits = edits(try fit(to: target), for: target.provider)
        // An earlier target may have got the key.
        return request.object[PromptCacheKey.field] == nil && !target.provider.takesPromptCacheKey
            ? edits + [.remove(PromptCacheKey.field)] : edits
    }

    /// What has to change in the request as it came.
    package func edits(_ fitted: Fitted, for provider: Provider) -> [JSONEdit] {
        var edits = fitted.messages.map { [ChatRequest.settingMessages($0)] } ?? []
        if provider.takesPromptCacheKey, request.object[PromptCacheKey.field] == nil {
            edits.append(.set(PromptCacheKey.field, JSONWriter.string(PromptCacheKey.value(for: session))))
        }
        return edits
    }
}

/// The tokens of what a request sends in any case.
struct RequestTokens: Sendable {
    let encoding: Int?
    /// Of each of the client's messages behind its instructions.
    let messages: [Int]
    let total: Int

    init(_ request: ChatRequest, _ turn: IncomingTurn, instructions: [ByteBuffer], _ meter: any TokenMeter) {
        encoding = meter.encoding
        messages = turn.messages.map { meter.tokens(ofMessage: $0.body) }
        let leading = (turn.instructions + instructions).reduce(0) { $0 + meter.tokens(ofMessage: $1) }
        total = messages.reduce(leading + meter.tokens(besideMessagesOf: request), +)
    }
}
