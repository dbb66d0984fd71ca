import Conversations
import Logging
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// Builds the final messages: instructions, stored messages, then what the client sent. Nothing else of the body changes,
/// but for the prompt cache's key.
struct HistoryMiddleware: Middleware {
    let planner: ExchangePlanner
    let configuration: HistoryConfiguration
    let bodyLimit: Int

    /// Only with exchanges of a session.
    func isConcerned(with exchange: Exchange) -> Bool { exchange.has(SessionContextKey.self) }

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        guard let context = exchange[SessionContextKey.self] else { return try await next(request) }
        var request = request
        let (summary, refitted) = try await plan(&request, in: exchange, context)
        var response = try await next(request)
        exchange[RequestFittingKey.self] = nil
        let latest = refitted?.latest.plan.summary ?? summary
        let report = configuration.mode == .shadow ? "mode=shadow; \(latest)" : latest
        exchange.noteInPlace { $0.history = report }
        response.headers.replaceOrAdd(name: HistoryPlan.headerName, value: report)
        return response
    }

    /// Leaves the plan in the exchange and its messages in the request. What was read of the session goes when it has
    /// been copied there, unless there is another target that it may have to be fitted to.
    private func plan(_ request: inout Request, in exchange: Exchange, _ context: SessionContext) async throws
        -> (summary: String, refitted: PlannedHistory?)
    {
        let isShadow = configuration.mode == .shadow
        let history: PlannedHistory
        if let known = try planAtOnce(request, in: exchange, context) {
            history = known
        } else {
            history = try await plan(request, in: exchange, context)
        }
        exchange[PlannedBodyKey.self] = request.body
        if isShadow {
            try await observe(history, in: exchange, context)
        } else if try !changeAtOnce(&request, history, in: exchange, context) {
            try await change(&request, history, in: exchange, context)
        }
        return finish(history, in: exchange, isShadow: isShadow)
    }

    private func finish(_ history: PlannedHistory, in exchange: Exchange, isShadow: Bool)
        -> (summary: String, refitted: PlannedHistory?)
    {
        exchange[DryRunKey.self]?.note("history", json: history.report(isShadow: isShadow))
        let summary = history.latest.plan.summary
        guard !isShadow, exchange[RoutePlanKey.self]?.targets.count ?? 0 > 1 else { return (summary, nil) }
        exchange[RequestFittingKey.self] = history
        return (summary, history)
    }

    /// The plan where nothing has to be waited for; else nil. A shadow's failures are another matter.
    private func planAtOnce(_ request: Request, in exchange: Exchange, _ context: SessionContext) throws
        -> PlannedHistory?
    {
        guard configuration.mode != .shadow, let chat = request.scannedChatRequest else { return nil }
        return try planner.planAtOnce(
            chat, in: exchange, context, rules: configuration.rules, maxBytes: bodyLimit)
    }

    private func plan(_ request: Request, in exchange: Exchange, _ context: SessionContext) async throws
        -> PlannedHistory
    {
        let chat = try await request.chatRequest(upTo: bodyLimit)
        do {
            return try await planner.plan(
                chat, in: exchange, context, rules: configuration.rules, maxBytes: bodyLimit)
        } catch let error where configuration.mode == .shadow && !Task.isCancelled {
            exchange.logger.warning(
                "A shadow history could not be worked out.", metadata: ["error": "\(String(reflecting: error))"])
            return try await planInShadow(chat, in: exchange, context)
        } catch let error as DatabaseError {
            switch configuration.onFailure {
            case .refuse:
                throw GatewayError.unavailable(
                    "history_unavailable", "The session's history cannot be read right now. Try again.",
                    detail: String(reflecting: error))
            case .degrade:
                exchange.logger.warning(
                    "A request goes on without its history.", metadata: ["error": "\(String(reflecting: error))"])
                return try await planner.planBlindly(chat, in: exchange, context)
            }
        }
    }

    /// What the whole history would have been refused for is nothing to a request that is sent without it.
    private func planInShadow(_ chat: ChatRequest, in exchange: Exchange, _ context: SessionContext) async throws
        -> PlannedHistory
    {
        do {
            return try await planner.plan(chat, in: exchange, context, rules: nil, maxBytes: bodyLimit)
        } catch is DatabaseError {
            return try await planner.planBlindly(chat, in: exchange, context)
        }
    }
}

// MARK: - Fitting

extension HistoryMiddleware {
    /// Puts the final messages for the first target into the request. Targets whose context is too small for what the
    /// client sent are taken out of the plan.
    ///
    /// - Throws: `context_length_exceeded` where it fits nowhere.
    @inline(never) private func change(
        _ request: inout Request, _ history: PlannedHistory, in exchange: Exchange, _ context: SessionContext
    ) async throws {
        let targets = exchange[RoutePlanKey.self]?.targets ?? []
        let fitted = try await BodyWork.run(on: history.size(among: targets)) { try Self.fit(history, among: targets) }
        let edits = note(fitted, of: history, among: targets, in: exchange, context)
        if !edits.isEmpty { request.body = try await request.body.edited(history.request.object, edits) }
    }

    /// The same without waiting; false, with nothing done to the request, where so much is not done on an event loop.
    private func changeAtOnce(
        _ request: inout Request, _ history: PlannedHistory, in exchange: Exchange, _ context: SessionContext
    ) throws -> Bool {
        let targets = exchange[RoutePlanKey.self]?.targets ?? []
        guard BodyWork.isSmall(history.size(among: targets)) else { return false }
        let fitted = try Self.fit(history, among: targets)
        let edits = note(fitted, of: history, among: targets, in: exchange, context)
        if edits.isEmpty { return true }
        guard let body = try request.body.editedAtOnce(history.request.object, edits) else { return false }
        request.body = body
        return true
    }

    /// The history as the first target gets it that has room for the request, and all that have; nil without a route.
    private typealias Fitted = (targets: [RouteTarget], first: PlannedHistory.Fitted)

    private static func fit(_ history: PlannedHistory, among targets: [RouteTarget]) throws -> Fitted? {
        targets.isEmpty ? nil : try history.fit(among: targets)
    }

    /// Leaves in the exchange what was fitted, and gives what has to change in the body.
    private func note(
        _ fitted: Fitted?, of history: PlannedHistory, among all: [RouteTarget], in exchange: Exchange,
        _ context: SessionContext
    ) -> [JSONEdit] {
        guard let (targets, first) = fitted else {
            exchange[PlannedTurnKey.self] = PlannedTurn(history, history.latest.plan, context, target: nil)
            return []
        }
        if targets.count < all.count, var route = exchange[RoutePlanKey.self] {
            route.targets = targets
            exchange[RoutePlanKey.self] = route
        }
        exchange[PlannedTurnKey.self] = PlannedTurn(history, first.plan, context, target: targets[0])
        return history.edits(first, for: targets[0].provider)
    }

    /// The plan as it was worked out, but the session does not remember where it would have been cut.
    private static func withoutCut(_ history: PlannedHistory) -> HistoryPlan {
        var plan = history.latest.plan
        plan.contextStart = nil
        return plan
    }

    /// Works everything out for the first target and changes nothing.
    private func observe(_ history: PlannedHistory, in exchange: Exchange, _ context: SessionContext) async throws {
        let target = exchange[RoutePlanKey.self]?.targets.first
        if let target { try await BodyWork.run(on: history.size(for: target)) { history.observe(target) } }
        exchange[PlannedTurnKey.self] = PlannedTurn(history, Self.withoutCut(history), context, target: target)
    }
}
