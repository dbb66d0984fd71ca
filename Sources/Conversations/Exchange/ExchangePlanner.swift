import NIOCore
import NIOHTTP1
package import OpenAIWire
import Synchronization
package import TurnpikeKit

/// Plans the turn of an exchange on what its session holds: reads what the plan needs, and not more.
///
/// A request whose messages need no comparing costs one read of the newest turns; only one that shows answers of the
/// model has the digests of the whole session compared, and then only the bodies are loaded that may be sent.
package struct ExchangePlanner: Sendable {
    private let store: ConversationStore
    private let models: any TargetModels

    package init(_ store: ConversationStore, models: any TargetModels = NoModels()) {
        self.store = store
        self.models = models
    }

    /// The plan for `request`, still to be fitted to a target.
    ///
    /// - Parameters:
    ///   - rules: for sessions that have none of their own; `nil` injects nothing at all.
    ///   - maxBytes: how large the stored messages may be that are read for one request.
    /// - Throws: `GatewayError` for what the client sent, where the session is gone, and where its history is too large,
    ///   by itself or with all else that is held; `DatabaseError`.
    package func plan(
        _ request: ChatRequest, in exchange: Exchange, _ context: SessionContext, rules: HistoryRules?, maxBytes: Int
    ) async throws -> PlannedHistory {
        let reading = try await BodyWork.run(on: request.bytes.readableBytes) {
            let (history, attempt) = try self.history(request, in: exchange, context, rules: rules)
            return Reading(history: history, attempt: attempt, session: context.session)
        }
        let held = Self.reservation(in: exchange, maxBytes)
        try await store.readHistory(of: context.session, counting: held) { try reading.read($0) }
        return try planned(request, reading.history, reading.attempt, reading.found(), held, in: exchange)
    }

    /// The same without waiting; nil where the request is large or memory does not hold what is needed.
    ///
    /// Most exchanges of a session need nothing else, and what functions that wait cost, with the memory of their tasks,
    /// was as much as the planning.
    package func planAtOnce(
        _ request: ChatRequest, in exchange: Exchange, _ context: SessionContext, rules: HistoryRules?, maxBytes: Int
    ) throws -> PlannedHistory? {
        guard BodyWork.isSmall(request.bytes.readableBytes), let known = store.memory(of: context.session) else {
            return nil
        }
        let (history, attempt) = try history(request, in: exchange, context, rules: rules)
        let held = Self.reservation(in: exchange, maxBytes)
        let found: SessionHistory.Found
        do {
            found = try history.read(CountedSnapshot(known, held), startingWith: context.session)
        } catch is SessionSnapshot.Incomplete {
            return nil
        }
        return try planned(request, history, attempt, found, held, in: exchange)
    }

    private static func reservation(in exchange: Exchange, _ maxBytes: Int) -> BufferReservation {
        exchange.reservation(limit: .init(bytes: maxBytes, error: .historyTooLarge(limit: maxBytes)))
    }

    private func history(
        _ request: ChatRequest, in exchange: Exchange, _ context: SessionContext, rules: HistoryRules?
    ) throws -> (SessionHistory, AttemptLog.Key) {
        let turn = try GatewayError.blamingClient { () throws(WireError) in try IncomingTurn(request) }
        let attempt = AttemptLog.Key(context.session.key, turn, idempotencyKey: context.idempotencyKey)
        let own = rules?.adapted(to: context.session.settings)
        let targets = exchange[RoutePlanKey.self]?.targets ?? []
        let history = SessionHistory(
            planner: TurnPlanner(mode: context.mode, maxHistoryMessages: own?.maxMessages ?? 0), turn: turn,
            repetition: context.repetition(
                earlier: store.attempts.base(of: attempt, sentAgain: context.attempt > 0 ? exchange.head : nil)),
            rules: own,
            mostTokens: own.map { mostTokens(targets, $0) } ?? 0)
        return (history, attempt)
    }

    /// Tokens that no target of the exchange has room for.
    private func mostTokens(_ targets: [RouteTarget], _ rules: HistoryRules) -> Int {
        targets.map { models.model(of: $0).contextWindow ?? rules.defaultContextWindow }.max()
            ?? rules.defaultContextWindow
    }

    private func planned(
        _ request: ChatRequest, _ history: SessionHistory, _ attempt: AttemptLog.Key, _ found: SessionHistory.Found,
        _ held: BufferReservation, in exchange: Exchange
    ) throws -> PlannedHistory {
        if !exchange.has(DryRunKey.self) { store.attempts.note(attempt, base: found.snapshot.plan.baseSeq) }
        try check(found.snapshot.plan, limit: exchange[TurnLimitKey.self])
        // Where a fallback may need it again, it is kept beyond the memory that it was counted for.
        let isKept = exchange[RoutePlanKey.self]?.targets.count ?? 0 > 1
        return PlannedHistory(
            request, history.turn, isKept ? found.snapshot.copied : found.snapshot, in: attempt.session,
            rules: history.rules ?? HistoryRules(), models: models, held: held)
    }

    /// The plan where the session's history cannot be read: what follows the last answer in the request is new, or all of it
    /// where its client says so. What is known of the session itself still tells a request that is sent again.
    package func planBlindly(_ request: ChatRequest, in exchange: Exchange, _ context: SessionContext) async throws
        -> PlannedHistory
    {
        let turn = try await BodyWork.run(on: request.bytes.readableBytes) {
            try GatewayError.blamingClient { () throws(WireError) in try IncomingTurn(request) }
        }
        let answer = context.mode == .append ? nil : turn.messages.lastIndex { $0.role == .assistant }
        let attempt = AttemptLog.Key(context.session.key, turn, idempotencyKey: context.idempotencyKey)
        let repetition = context.repetition(
            earlier: store.attempts.base(of: attempt, sentAgain: context.attempt > 0 ? exchange.head : nil))
        let repeated = repetition.turn(repeatedBy: turn, newest: context.session.lastTurn)
        var plan = HistoryPlan(
            newMessages: Array(turn.messages.dropFirst(answer.map { $0 + 1 } ?? 0)),
            base: repeated?.baseSeq ?? context.session.nextSeq, reason: .unavailable)
        plan.isRetry = repetition != .none
        plan.repeatsLastTurn = repeated != nil
        if !turn.instructions.isEmpty { plan.instructionsToStore = turn.instructions }
        if !exchange.has(DryRunKey.self) { store.attempts.note(attempt, base: plan.baseSeq) }
        try check(plan, limit: exchange[TurnLimitKey.self])
        return PlannedHistory(
            request, turn, HistorySnapshot(plan: plan), in: context.session.key, rules: HistoryRules(), models: models)
    }

    /// Whether what is new can be stored, before the answer is paid for.
    private func check(_ plan: HistoryPlan, limit: Int?) throws(GatewayError) {
        // Nothing is stored of it.
        guard let limit else { return }
        guard plan.newMessages.reduce(0, { $0 + $1.body.readableBytes }) <= limit else {
            throw GatewayError(
                .client, .payloadTooLarge, code: "turn_too_large",
                "The new messages are larger than the \(limit) bytes that one turn of a session may have.",
                param: "messages")
        }
        guard let rowLimit = store.messageLimit else { return }
        let system = plan.instructionsToStore?.reduce(0) { $0 + $1.readableBytes } ?? 0
        guard system <= rowLimit, plan.newMessages.allSatisfy({ Self.fits($0.body, rowLimit) }) else {
            throw .tooLargeToStore("\(rowLimit) bytes fit (max_allowed_packet)", param: "messages")
        }
    }

    /// Media lie in rows of their own.
    private static func fits(_ body: ByteBuffer, _ limit: Int) -> Bool {
        if body.readableBytes <= limit { return true }
        let media = InlineMedia.spans(in: body).map(\.count)
        return max(body.readableBytes - media.reduce(0, +), media.max() ?? 0) <= limit
    }
}

/// What is read for one request: a reference, so that it crosses to the database's thread and back as a word.
///
/// Keeping these values in the async function's own frame also meets a defect of Swift 6.3.1's optimiser: the frame of
/// `plan` was allocated 16 bytes too small in release builds, and its last fields were written behind it.
private final class Reading: Sendable {
    let history: SessionHistory
    let attempt: AttemptLog.Key
    let session: Session
    private let result = Mutex<SessionHistory.Found?>(nil)

    init(history: SessionHistory, attempt: AttemptLog.Key, session: Session) {
        self.history = history
        self.attempt = attempt
        self.session = session
    }

    func read(_ reader: any HistoryReading) throws {
        let read = try history.read(reader, startingWith: session)
        result.withLock { $0 = read }
    }

    /// What was read, behind `read`.
    func found() -> SessionHistory.Found {
        guard let found = result.withLock({ $0 }) else { preconditionFailure("A history is read before it is used.") }
        return found
    }
}

extension HistoryRules {
    /// The rules with what the session says itself.
    func adapted(to settings: SessionSettings) -> HistoryRules {
        var rules = self
        rules.maxMessages = settings.maxHistory ?? maxMessages
        rules.truncation = settings.truncation.flatMap(Truncation.init) ?? truncation
        return rules
    }
}
