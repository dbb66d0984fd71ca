package import NIOCore
import NIOHTTP1
package import OpenAIWire
package import TurnpikeKit

/// Plans the turn of an exchange on what its session holds: reads what the plan needs, and not more.
///
/// A request whose messages need no comparing costs one read of the newest turns; only one that shows answers of the
/// model has the digests of the whole session compared, and then only the bodies are loaded that will be sent.
package struct ExchangePlanner: Sendable {
    /// A plan with the bytes it needs.
    package struct Result: Sendable {
        package var turn: PlannedTurn
        /// The final messages; `nil` where they are the request's own, byte for byte.
        package var messages: [ByteBuffer]?
        /// The memory of the stored messages among them: keep it as long as they are needed.
        package var held: BufferReservation?
    }

    private let store: ConversationStore
    private let attempts = AttemptLog()

    package init(_ store: ConversationStore) { self.store = store }

    /// The plan for `request`.
    ///
    /// - Parameters:
    ///   - maxMessages: the limit on messages of sessions that have none of their own; `nil` injects nothing at all.
    ///   - maxBytes: how large the stored messages may be that are read for one request.
    /// - Throws: `GatewayError` for what the client sent, where the session is gone, and where its history is too large,
    ///   by itself or with all else that is held; `DatabaseError`.
    package func plan(
        _ request: ChatRequest, in exchange: Exchange, _ context: SessionContext, maxMessages: Int?, maxBytes: Int
    ) async throws -> Result {
        let reading = try await BodyWork.run(on: request.bytes.readableBytes) {
            try self.reading(request, context, maxMessages: maxMessages)
        }
        let held = exchange.reservation(limit: .init(bytes: maxBytes, error: .historyTooLarge(limit: maxBytes)))
        let found = try await store.read(counting: held) { try reading.found($0) }
        return try result(reading, found, held, limit: exchange[TurnLimitKey.self])
    }

    private func reading(_ request: ChatRequest, _ context: SessionContext, maxMessages: Int?) throws -> Reading {
        let turn = try GatewayError.blamingClient { () throws(WireError) in try IncomingTurn(request) }
        let attempt = AttemptLog.Key(context.session.key, turn, idempotencyKey: context.idempotencyKey)
        let planner = TurnPlanner(
            mode: context.mode, maxHistoryMessages: context.session.settings.maxHistory ?? maxMessages ?? 0)
        return Reading(
            history: SessionHistory(
                planner: planner, turn: turn, repetition: repetition(context, earlier: attempts[attempt]),
                injects: maxMessages != nil),
            attempt: attempt, session: context.session)
    }

    private func result(
        _ reading: Reading, _ found: SessionHistory.Found, _ held: BufferReservation, limit: Int?
    ) throws -> Result {
        attempts.note(reading.attempt, base: found.plan.baseSeq)
        try Self.check(found.plan, limit: limit)
        let turn = reading.history.turn
        return Result(
            turn: PlannedTurn(plan: found.plan, requestDigest: turn.digest), messages: Self.messages(turn, found),
            held: held)
    }

    /// The plan where the session's history cannot be read: what follows the last answer in the request is new.
    package func planBlindly(_ request: ChatRequest, in exchange: Exchange, _ context: SessionContext) async throws
        -> Result
    {
        let turn = try await BodyWork.run(on: request.bytes.readableBytes) {
            try GatewayError.blamingClient { () throws(WireError) in try IncomingTurn(request) }
        }
        let known = turn.messages.lastIndex { $0.role == .assistant }.map { $0 + 1 } ?? 0
        var plan = HistoryPlan(
            newMessages: Array(turn.messages.dropFirst(known)), base: context.session.nextSeq, reason: .unavailable)
        if !turn.instructions.isEmpty { plan.instructionsToStore = turn.instructions }
        try Self.check(plan, limit: exchange[TurnLimitKey.self])
        return Result(turn: PlannedTurn(plan: plan, requestDigest: turn.digest), messages: nil)
    }

    private func repetition(_ context: SessionContext, earlier base: Int64?) -> Repetition {
        // A key that was not seen before says that the request is the first of its kind.
        let isClaimed = context.isRetry || (context.idempotencyKey != nil && base != nil)
        guard isClaimed else { return .none }
        return base.map { .known(base: $0) } ?? .claimed
    }

    private static func check(_ plan: HistoryPlan, limit: Int?) throws(GatewayError) {
        guard let limit, plan.newMessages.reduce(0, { $0 + $1.body.readableBytes }) > limit else { return }
        throw GatewayError(
            .client, .payloadTooLarge, code: "turn_too_large",
            "The new messages are larger than the \(limit) bytes that one turn of a session may have.",
            param: "messages")
    }

    private static func messages(_ turn: IncomingTurn, _ found: SessionHistory.Found) -> [ByteBuffer]? {
        guard !found.injected.isEmpty || !found.instructions.isEmpty else { return nil }
        return turn.instructions + found.instructions + found.injected + turn.messages.map(\.body)
    }
}

/// What is read for one request: a reference, so that it crosses to the database's thread and back as a word.
///
/// Keeping these values in the async function's own frame also meets a defect of Swift 6.3.1's optimiser: the frame of
/// `plan` was allocated 16 bytes too small in release builds, and its last fields were written behind it.
private final class Reading: Sendable {
    let history: SessionHistory
    let attempt: AttemptLog.Key
    private let session: Session

    init(history: SessionHistory, attempt: AttemptLog.Key, session: Session) {
        self.history = history
        self.attempt = attempt
        self.session = session
    }

    func found(_ reader: any HistoryReading) throws -> SessionHistory.Found {
        try history.read(reader, startingWith: session)
    }
}
