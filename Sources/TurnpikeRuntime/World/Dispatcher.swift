import NIOHTTP1
import OpenAIWire
import TurnpikeKit

/// Stands between `limit` and `resolve`: answers Turnpike's own routes, and tells the rest of the chain which endpoint a
/// request is for. Of an endpoint that is chosen by its model, it reads the body and notes model and streaming.
struct Dispatcher: Middleware {
    static let id = "dispatch"

    let routes: RouteTable
    let bodyLimit: Int

    var link: Chain.Link { Chain.Link(id: Self.id, middleware: self) }

    /// Chat requests whose body has come with their head, as small ones do.
    func pass(_ request: Request, in exchange: Exchange) throws -> Passing {
        guard SessionPreview.request(request) == nil,
            case .none = routes.match(request.head.method, request.head.path),
            (try? Endpoint.classify(request.head)) == .chatCompletions
        else { return .handle }
        exchange[EndpointKey.self] = .chatCompletions
        guard let chat = try request.chatRequestAtOnce(upTo: bodyLimit) else { return .handle }
        note(chat, in: exchange)
        return .done
    }

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        if let preview = SessionPreview.request(request) {
            try authorise(.scope(.chat), in: exchange)
            exchange[DryRunKey.self] = DryRun()
            return try await forward(preview, in: exchange, next: next, allowed: [])
        }
        switch routes.match(request.head.method, request.head.path) {
        case .route(let route, let parameters):
            try authorise(route.access, in: exchange)
            return try await route.answer(request, parameters, exchange)
        case .otherMethod(let allowed): return try await forward(request, in: exchange, next: next, allowed: allowed)
        case .none: return try await forward(request, in: exchange, next: next, allowed: [])
        }
    }

    private func authorise(_ access: Route.Access, in exchange: Exchange) throws {
        guard case .scope(let scope) = access else { return }
        guard let principal = exchange[PrincipalKey.self], principal.scopes.contains(scope) else {
            throw GatewayError(.client, .forbidden, code: "insufficient_scope", "This key may not use this endpoint.")
        }
    }

    private func forward(_ request: Request, in exchange: Exchange, next: Next, allowed: [HTTPMethod]) async throws
        -> Response
    {
        let endpoint: Endpoint
        do {
            endpoint = try Endpoint.classify(request.head)
            if endpoint == .unknown, !allowed.isEmpty {
                throw GatewayError.methodNotAllowed(request.head, use: allowed)
            }
        } catch let error as GatewayError where error.status == .notFound {
            guard allowed.isEmpty else { throw GatewayError.methodNotAllowed(request.head, use: allowed) }
            throw GatewayError.unknownURL(request.head, near: pathWithVersion(request.head))
        }
        exchange[EndpointKey.self] = endpoint
        switch endpoint {
        case .chatCompletions:
            note(try await request.chatRequest(upTo: bodyLimit), in: exchange)
        case .json:
            let model = try await request.jsonObject(upTo: bodyLimit)["model"]?.string
            exchange.note { $0.requestedModel = model.flatMap { $0.isEmpty ? nil : $0 } }
        case .models, .streamed, .stateful, .unknown: break
        }
        return try await next(request)
    }

    /// The path behind `/v1`, if it is answered there: a client whose base URL lacks that asks without it.
    private func pathWithVersion(_ head: RequestHead) -> String? {
        let path = "/v1\(head.path)"
        if case .route = routes.match(head.method, path[...]) { return path }
        let endpoint = try? Endpoint.classify(RequestHead(method: head.method, target: path))
        return switch endpoint {
        case nil, .unknown, .stateful: nil
        case .chatCompletions, .json, .models, .streamed: path
        }
    }

    private func note(_ chat: ChatRequest, in exchange: Exchange) {
        exchange.note {
            $0.requestedModel = chat.model
            $0.isStreamed = chat.stream
        }
    }
}
