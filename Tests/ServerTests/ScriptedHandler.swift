import Logging
import NIOCore
import NIOHTTP1
import Synchronization
import TurnpikeKit

/// A chain that does what a test says, and remembers every outcome.
final class ScriptedHandler: ExchangeHandler {
    typealias Script = @Sendable (Request, Exchange) async throws -> Response

    private struct State {
        var begun: [RequestHead] = []
        var turnedAway: [RequestHead] = []
        var outcomes: [Outcome] = []
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let script: Script
    private let state = Mutex(State())

    init(_ script: @escaping Script) { self.script = script }

    func begin(_ head: RequestHead, peerAddress: String, on eventLoop: any EventLoop) -> Exchange {
        let exchange = Exchange(
            head: head, eventLoop: eventLoop, logger: Logger(label: "test"), peerAddress: peerAddress)
        state.withLock { $0.begun.append(head) }
        exchange.onFinish { [self] outcome in remember(outcome) }
        return exchange
    }

    func respond(to request: Request, in exchange: Exchange) async -> Response {
        do {
            return try await script(request, exchange)
        } catch {
            return refusal(error as? GatewayError ?? .internalError("\(error)"), requestID: exchange.requestID)
        }
    }

    func refusal(_ error: GatewayError, requestID: String) -> Response {
        let body = #"{"error":{"code":"\#(error.code)","message":"\#(error.message)","request_id":"\#(requestID)"}}"#
        var response = Response.json(ByteBuffer(string: body), status: error.status)
        response.headers.add(contentsOf: error.headers)
        response.error = error
        return response
    }

    func turnedAway(_ head: RequestHead, with error: GatewayError) { state.withLock { $0.turnedAway.append(head) } }

    func streamFailure(_ error: GatewayError, requestID: String) -> ByteBuffer {
        ByteBuffer(string: "event: error\ndata: {\"code\":\"\(error.code)\"}\n\n")
    }

    /// Every request that became an exchange.
    var begun: [RequestHead] { state.withLock { $0.begun } }

    /// Every request for which there was no connection.
    var turnedAway: [RequestHead] { state.withLock { $0.turnedAway } }

    /// The outcomes, once there are `count` of them. More than one per exchange would be a bug that the count shows.
    func outcomes(_ count: Int) async -> [Outcome] {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                guard state.outcomes.count < count else { return true }
                state.waiters.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
        return state.withLock { $0.outcomes }
    }

    private func remember(_ outcome: Outcome) {
        let ready = state.withLock { state in
            state.outcomes.append(outcome)
            let ready = state.waiters.filter { $0.count <= state.outcomes.count }
            state.waiters.removeAll { $0.count <= state.outcomes.count }
            return ready
        }
        for waiter in ready { waiter.continuation.resume() }
    }
}

extension Outcome {
    /// The ending in one word, with the code of its error.
    var word: String {
        switch ending {
        case .completed: "completed"
        case .refused(let error): "refused \(error.code)"
        case .failed(let error): "failed \(error.code)"
        case .clientLeft: "clientLeft"
        }
    }
}

/// Answers with the request's own body.
let echo: ScriptedHandler.Script = { request, _ in
    Response(status: .ok, body: .bytes(try await request.body.collect(upTo: 64 << 20)))
}

/// Answers "ok".
let greeting: ScriptedHandler.Script = { _, _ in Response(status: .ok, body: .bytes(ByteBuffer(string: "ok"))) }
