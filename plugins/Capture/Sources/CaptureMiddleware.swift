import Conversations
import Logging
import NIOCore
import NIOHTTP1
import OpenAIWire
import TurnpikeKit

/// Stores the turn of an exchange: what was new of the request, and what the client received.
///
/// The turn is committed before its end is released. An exchange without a session passes untouched; so does an answer
/// that is no chat completion, and it stores nothing.
struct CaptureMiddleware: Middleware {
    let planner: ExchangePlanner
    let store: ConversationStore
    let configuration: CaptureConfiguration
    let bodyLimit: Int

    /// With exchanges of a session, and with those whose provider is asked for usage.
    func isConcerned(with exchange: Exchange) -> Bool {
        guard exchange[EndpointKey.self] == .chatCompletions else { return false }
        return exchange.has(SessionContextKey.self) || UsageAsking.mayBeNeeded(in: exchange)
    }

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        guard exchange.has(SessionContextKey.self) else { return try await pass(request, in: exchange, next: next) }
        return try await keep(request, in: exchange, next: next)
    }

    /// Apart from the way without a session, like that one, so that an open stream holds no more memory than its way needs.
    @inline(never) private func keep(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        guard let context = exchange[SessionContextKey.self] else { return try await next(request) }
        exchange[TurnLimitKey.self] = configuration.maxTurn
        let shape: ChatShape
        if let known = request.knownChatShape {
            shape = known
        } else {
            shape = try await request.chatShape(upTo: bodyLimit)
        }
        let plansItself = !exchange.isOn("history")
        if plansItself { try await plan(request, in: exchange, context) }
        let room = try reserve(request.body.declaredLength ?? 0)
        var request = request
        // What is compressed cannot be read on its way.
        request.head.headers.replaceOrAdd(name: "Accept-Encoding", value: "identity")
        let asksForUsage = shape.stream ? try await addUsage(to: &request, in: exchange) : false
        var response = try await next(request)
        if plansItself, let planned = exchange[PlannedTurnKey.self] {
            response.headers.replaceOrAdd(name: HistoryPlan.headerName, value: planned.plan.summary)
        }
        guard (200..<300).contains(response.status.code), !exchange.has(DryRunKey.self) else { return response }
        if !exchange.has(PlannedTurnKey.self) { try await plan(request, in: exchange, context) }
        let committer = TurnCommitter(store: store, exchange: exchange, key: context.session.key, room: room)
        return try await capture(
            response, choices: shape.n, hidesUsage: asksForUsage && UsageAsking.wasAsked(in: exchange), committer)
    }

    @inline(never) private func addUsage(to request: inout Request, in exchange: Exchange) async throws -> Bool {
        guard UsageAsking.mayBeNeeded(in: exchange) else { return false }
        let chat = try await request.chatRequest(upTo: bodyLimit)
        return try await UsageAsking.add(to: &request, chat, in: exchange)
    }

    /// Without a session nothing is stored and, but for usage that was asked for, nothing is touched.
    @inline(never) private func pass(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        var request = request
        let chat = try await request.chatRequest(upTo: bodyLimit)
        guard try await UsageAsking.add(to: &request, chat, in: exchange) else { return try await next(request) }
        request.head.headers.replaceOrAdd(name: "Accept-Encoding", value: "identity")
        var response = try await next(request)
        if response.isEventStream, UsageAsking.wasAsked(in: exchange) { response.transform(with: UsageHider()) }
        return response
    }

    /// Apart: what it takes is not held while the upstream is waited for.
    @inline(never) private func capture(
        _ response: Response, choices: Int, hidesUsage: Bool, _ committer: TurnCommitter
    ) async throws -> Response {
        var response = response
        if response.isEventStream {
            follow(&response, choices: choices, hidesUsage: hidesUsage, committer)
        } else if !response.isIdentity {
            CaptureSkip.contentEncoding.note(on: &response, in: committer.exchange)
        } else if response.isJSON {
            let body = try await response.collect(upTo: configuration.maxAnswer, in: committer.exchange)
            let skip = try await committer.commit(body)
            skip?.note(on: &response, in: committer.exchange)
        } else {
            CaptureSkip.contentType.note(on: &response, in: committer.exchange)
        }
        return response
    }

    /// Apart and without waiting, so that the whole of what follows a stream does not lie in the frame of every exchange.
    @inline(never) private func follow(
        _ response: inout Response, choices: Int, hidesUsage: Bool, _ committer: TurnCommitter
    ) {
        response.transform(
            with: StreamCapture(committer, limit: configuration.maxAnswer, choices: choices, hidesUsage: hidesUsage))
    }

    /// Before the upstream is called: an answer that could not be kept is not asked for.
    private func reserve(_ byteCount: Int) throws -> TurnRoom {
        do throws(TurnRoomError) {
            return try store.reserveRoom(forRequestOf: byteCount)
        } catch {
            throw GatewayError(error)
        }
    }

    /// The plan of an exchange whose history is switched off: nothing goes in front, but the turn is stored.
    @inline(never) private func plan(
        _ request: Request, in exchange: Exchange, _ context: SessionContext
    ) async throws {
        let chat = try await request.chatRequest(upTo: bodyLimit)
        let history = try await planner.plan(chat, in: exchange, context, rules: nil, maxBytes: bodyLimit)
        exchange[PlannedTurnKey.self] = PlannedTurn(history, history.latest.plan, context, target: nil)
        exchange[PlannedBodyKey.self] = request.body
    }
}

extension Response {
    /// Whether the body is as it was written, so that it can be read.
    fileprivate var isIdentity: Bool {
        let encoding = headers.first(name: "content-encoding") ?? "identity"
        return encoding == "identity" || encoding.isEmpty
    }

    /// Whether the body is JSON.
    fileprivate var isJSON: Bool {
        let name: StaticString = "application/json"
        guard let type = headers.first(name: "content-type"), type.hasPrefixIgnoringCase(name) else { return false }
        let behind = type.utf8.dropFirst(name.utf8CodeUnitCount).first
        return behind.map { [UInt8(ascii: ";"), UInt8(ascii: " "), UInt8(ascii: "\t")].contains($0) } ?? true
    }
}
