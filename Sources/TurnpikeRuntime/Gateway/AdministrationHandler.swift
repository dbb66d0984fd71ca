package import NIOCore
package import TurnpikeKit

/// Answers on the administration listener: health checks and metrics, so that they stay reachable when clients do not.
package final class AdministrationHandler: ExchangeHandler {
    private let gateway: Gateway
    private let routes: RouteTable

    /// - Parameter routes: What is answered here and nowhere else.
    package init(_ gateway: Gateway, routes: [Route] = []) {
        self.gateway = gateway
        self.routes = RouteTable(routes)
    }

    package func begin(_ head: RequestHead, peerAddress: String, on eventLoop: any EventLoop) -> Exchange {
        gateway.begin(head, peerAddress: peerAddress, on: eventLoop, isCounted: false)
    }

    package func respond(to request: Request, in exchange: Exchange) async -> Response {
        do {
            if case .route(let route, let parameters) = routes.match(request.head.method, request.head.path) {
                return try await route.answer(request, parameters, exchange)
            }
            switch gateway.world.publicRoutes.match(request.head.method, request.head.path) {
            case .route(let route, let parameters): return try await route.answer(request, parameters, exchange)
            case .otherMethod, .none: throw GatewayError.unknownURL(request.head)
            }
        } catch {
            return refusal(GatewayError(wrapping: error), requestID: exchange.requestID)
        }
    }

    package func refusal(_ error: GatewayError, requestID: String) -> Response {
        gateway.refusal(error, requestID: requestID)
    }

    package func streamFailure(_ error: GatewayError, requestID: String) -> ByteBuffer {
        gateway.streamFailure(error, requestID: requestID)
    }
}
