import Conversations
import Logging
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// Builds the final messages: instructions, stored messages, then what the client sent. Nothing else of the body changes.
struct HistoryMiddleware: Middleware {
    let planner: ExchangePlanner
    let configuration: HistoryConfiguration
    let bodyLimit: Int

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        guard exchange.has(SessionContextKey.self) else { return try await next(request) }
        return try await rebuild(request, in: exchange, next: next)
    }

    /// Apart, so that a stream without a session does not hold the memory for it.
    @inline(never) private func rebuild(
        _ request: Request, in exchange: Exchange, next: Next
    ) async throws -> Response {
        guard let context = exchange[SessionContextKey.self] else { return try await next(request) }
        let chat = try await request.chatRequest(upTo: bodyLimit)
        var request = request
        let summary = try await plan(&request, chat, in: exchange, context)
        var response = try await next(request)
        response.headers.replaceOrAdd(name: HistoryPlan.headerName, value: summary)
        return response
    }

    /// Leaves the plan in the exchange and its messages in the request. What was read of the session goes when it has
    /// been copied there.
    private func plan(
        _ request: inout Request, _ chat: ChatRequest, in exchange: Exchange, _ context: SessionContext
    ) async throws -> String {
        let planned = try await plan(chat, in: exchange, context)
        exchange[PlannedTurnKey.self] = planned.turn
        exchange[PlannedBodyKey.self] = request.body
        if let messages = planned.messages {
            request.body = try await request.body.edited(chat.object, [ChatRequest.settingMessages(messages)])
        }
        return withExtendedLifetime(planned.held) { planned.turn.plan.summary }
    }

    private func plan(_ chat: ChatRequest, in exchange: Exchange, _ context: SessionContext) async throws
        -> ExchangePlanner.Result
    {
        do {
            return try await planner.plan(
                chat, in: exchange, context, maxMessages: configuration.maxHistoryMessages, maxBytes: bodyLimit)
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
}
