package import Logging
package import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import Synchronization
package import TurnpikeKit

/// Answers exchanges with the current world.
package final class Gateway: ExchangeHandler {
    private let logger: Logger
    private let clock: GatewayClock
    private let budget: BufferBudget?
    private let current: Mutex<World>
    private let metrics: RequestMetrics
    private let onFailure: @Sendable (GatewayError, Exchange) -> Void
    private let onTurnedAway: @Sendable (GatewayError, RequestHead) -> Void
    private let failures: FailureReporter

    /// - Parameters:
    ///   - budget: bounds what all exchanges hold together; the servers in front of the gateway share it.
    ///   - onFailure: told each exchange that is answered with an error. It must not block.
    ///   - onTurnedAway: told each request for which there was no connection. It must not block.
    package init(
        world: World, clock: GatewayClock, logger: Logger, budget: BufferBudget? = nil,
        metrics: RequestMetrics = RequestMetrics(),
        onFailure: @escaping @Sendable (GatewayError, Exchange) -> Void = { _, _ in },
        onTurnedAway: @escaping @Sendable (GatewayError, RequestHead) -> Void = { _, _ in }
    ) {
        self.onFailure = onFailure
        self.onTurnedAway = onTurnedAway
        self.current = Mutex(world)
        self.metrics = metrics
        self.clock = clock
        self.budget = budget
        self.logger = logger
        failures = FailureReporter(clock, logger)
    }

    /// The world that new exchanges begin in.
    package var world: World { current.withLock { $0 } }

    /// Replaces the world. Exchanges that are under way end in the one they began in.
    package func replaceWorld(with world: World) { current.withLock { $0 = world } }

    package func begin(_ head: RequestHead, peerAddress: String, on eventLoop: any EventLoop) -> Exchange {
        begin(head, peerAddress: peerAddress, on: eventLoop, isCounted: true)
    }

    /// - Parameter isCounted: Whether the exchange is one of clients, of which metrics are kept.
    func begin(_ head: RequestHead, peerAddress: String, on eventLoop: any EventLoop, isCounted: Bool) -> Exchange {
        let world = world
        let exchange = Exchange(
            head: head, eventLoop: eventLoop, clock: clock, logger: logger, flags: world,
            peerAddress: peerAddress, budget: budget)
        exchange[WorldKey.self] = world
        if isCounted { metrics.begin(exchange) }
        return exchange
    }

    package func respond(to request: Request, in exchange: Exchange) async -> Response {
        var response: Response
        do {
            response = try await answer(request, in: exchange)
            exchange.show(&response)
            failures.noteSuccess()
        } catch {
            response = errorResponse(error, in: exchange)
        }
        return response
    }

    package func refusal(_ error: GatewayError, requestID: String) -> Response {
        var response = ErrorResponder.response(error, requestID: requestID)
        response.headers.replaceOrAdd(name: Self.requestIDHeader, value: requestID)
        return response
    }

    package func turnedAway(_ head: RequestHead, with error: GatewayError) { onTurnedAway(error, head) }

    package func streamFailure(_ error: GatewayError, requestID: String) -> ByteBuffer {
        ErrorResponder.event(error, requestID: requestID)
    }

    private static let requestIDHeader = "x-turnpike-request-id"

    private func answer(_ request: Request, in exchange: Exchange) async throws -> Response {
        let world = exchange[WorldKey.self] ?? world
        if case .route(let route, let parameters) = world.publicRoutes.match(request.head.method, request.head.path) {
            return try await route.answer(request, parameters, exchange)
        }
        return try await world.chain.run(request, in: exchange)
    }

    private func errorResponse(_ error: any Error, in exchange: Exchange) -> Response {
        let failure = GatewayError(wrapping: error, of: exchange.head.method)
        failures.report(failure, in: exchange)
        onFailure(failure, exchange)
        return refusal(failure, requestID: exchange.requestID)
    }
}

extension GatewayError {
    /// What any error means to a client. Only errors of our own are shown; of others, just that something failed.
    ///
    /// - Parameter method: of the request, which says whether it may be sent again.
    init(wrapping error: any Error, of method: HTTPMethod = .GET) {
        switch error {
        case let error as GatewayError: self = error
        case let error as WireError: self = GatewayError(wire: error)
        case let error as DatabaseError where error.failure == .unknownAtCommit:
            let advice =
                method == .POST
                ? "Look whether it has before you send the request again."
                : "Send the request again: that does no harm."
            self = .unavailable(
                "storage_unconfirmed",
                "The storage did not confirm the change in time: it may or may not have happened. \(advice)",
                detail: String(reflecting: error))
        case let error as DatabaseError where error.cause == .size: self = .tooLargeToStore(String(reflecting: error))
        // Not to be tried again: a row holds what cannot be read, or does not take what is to be stored.
        case let error as DatabaseError where error.failure == .data: self = .internalError(String(reflecting: error))
        case let error as DatabaseError:
            self = .unavailable(
                "storage_unavailable", "The storage cannot be reached right now. Try again.",
                detail: String(reflecting: error))
        case is CancellationError: self = .clientLeft
        default: self = .internalError(String(reflecting: error))
        }
    }
}
