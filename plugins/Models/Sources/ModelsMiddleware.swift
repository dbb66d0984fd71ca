import Logging
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// Leaves a ``RoutePlan`` in the exchange, from the endpoint and the model in the request.
struct ModelsMiddleware: Middleware {
    let table: ModelTable
    let providers: Providers
    let bodyLimit: Int

    func pass(_ request: Request, in exchange: Exchange) throws -> Passing {
        guard exchange[EndpointKey.self] == .chatCompletions, let chat = request.scannedChatRequest else {
            return .handle
        }
        exchange[RoutePlanKey.self] = try plan(for: chat, in: exchange)
        return .done
    }

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        guard let endpoint = exchange[EndpointKey.self] else {
            throw GatewayError.internalError("models ran before the dispatcher")
        }
        switch endpoint {
        case .models(let id):
            return try await models(id, request, in: exchange, next: next)
        case .chatCompletions:
            exchange[RoutePlanKey.self] =
                if let chat = request.scannedChatRequest { try plan(for: chat, in: exchange) } else {
                    try await chatPlan(request, in: exchange)
                }
        case .json:
            exchange[RoutePlanKey.self] = try jsonPlan(request, in: exchange)
        case .streamed:
            exchange[RoutePlanKey.self] = try fallbackPlan(request)
        case .stateful, .unknown:
            exchange[RoutePlanKey.self] = try passthroughPlan(request, endpoint)
        }
        return try await next(request)
    }

    /// Apart, so that what it needs is not kept while the upstream answers.
    @inline(never) private func chatPlan(_ request: Request, in exchange: Exchange) async throws -> RoutePlan {
        try plan(for: try await request.chatRequest(upTo: bodyLimit), in: exchange)
    }

    private func plan(for chat: ChatRequest, in exchange: Exchange) throws -> RoutePlan {
        let plan = try plan(for: chat.model, in: exchange)
        try refuseStoring(chat, plan)
        return plan
    }

    private func plan(for model: String, in exchange: Exchange) throws -> RoutePlan {
        let targets = table.targets(for: model, ticket: ticket(exchange))
        guard !targets.isEmpty else { throw Self.noSuchModel(model) }
        return RoutePlan(requestedModel: model, targets: targets)
    }

    /// Exchanges of one session draw the same target, so the provider's prompt cache keeps hitting.
    private func ticket(_ exchange: Exchange) -> UInt64 { (exchange.fact { $0.sessionID } ?? exchange.id).shardKey }

    /// Moderations and images have default models of the provider's; completions and embeddings need one.
    private func jsonPlan(_ request: Request, in exchange: Exchange) throws -> RoutePlan {
        if let model = exchange.fact({ $0.requestedModel }) { return try plan(for: model, in: exchange) }
        guard request.head.path != "/v1/completions", request.head.path != "/v1/embeddings" else {
            throw GatewayError.badRequest(
                "missing_required_parameter", "You must provide a model parameter.", param: "model")
        }
        return try fallbackPlan(request)
    }

    private func fallbackPlan(_ request: Request) throws -> RoutePlan {
        guard let provider = providers.fallback ?? table.wildcard else {
            throw GatewayError.badRequest(
                "no_default_provider", "This server has no default provider for requests without a model.")
        }
        return RoutePlan(requestedModel: nil, targets: [RouteTarget(provider: provider, model: nil)])
    }

    /// All users share a provider's account, so what keeps state there is closed unless the operator opened it.
    private func passthroughPlan(_ request: Request, _ endpoint: Endpoint) throws -> RoutePlan {
        let path = request.head.path.dropFirst("/v1".count)
        let candidates = [providers.fallback].compactMap(\.self) + providers.all
        if let provider = candidates.first(where: { $0.passesThrough(path) }) {
            return RoutePlan(requestedModel: nil, targets: [RouteTarget(provider: provider, model: nil)])
        }
        guard endpoint == .stateful else {
            throw GatewayError.unknownURL(request.head)
        }
        throw GatewayError(
            .client, .forbidden, code: "endpoint_not_enabled",
            "This endpoint keeps state in the provider's account, which all users share. The operator can enable it with passthrough."
        )
    }

    /// `store: true` would keep the conversation in the account that all users share.
    private func refuseStoring(_ chat: ChatRequest, _ plan: RoutePlan) throws {
        guard chat.store, !plan.targets.allSatisfy({ $0.provider.passesThrough("/chat/completions") }) else {
            return
        }
        throw GatewayError.badRequest(
            "store_not_enabled",
            "This server does not keep completions in the provider's account. Send store: false, or use a session.",
            param: "store")
    }

    private static func noSuchModel(_ model: String) -> GatewayError {
        GatewayError(
            .client, .notFound, code: "model_not_found",
            "The model `\(model.prefix(100))` does not exist or you do not have access to it.", param: "model")
    }
}

extension ModelsMiddleware {
    /// The list, or one model: what the configuration names, and what the provider of all other names has.
    @inline(never) private func models(_ id: String?, _ request: Request, in exchange: Exchange, next: Next)
        async throws -> Response
    {
        if let id, table.isListed(id), let entry = table.listed.first(where: { $0.name == id }) {
            return .json(ModelObject.json(entry))
        }
        guard let provider = table.wildcard else {
            if let id { throw Self.noSuchModel(id) }
            return .json(ModelObject.list(table.listed))
        }
        exchange[RoutePlanKey.self] = RoutePlan(
            requestedModel: id, targets: [RouteTarget(provider: provider, model: nil)])
        guard id == nil, !table.listed.isEmpty else { return try await next(request) }
        do {
            return try await mergedList(request, in: exchange, next: next)
        } catch {
            // A client finds the configured names whatever becomes of the provider; whoever runs the gateway has to know.
            exchange.logger.warning(
                "The provider's list of models cannot be had; the configured names are listed alone.",
                metadata: ["provider": "\(provider.name)", "error": "\(String(reflecting: error))"])
            return .json(ModelObject.list(table.listed))
        }
    }

    /// The provider's list with the configured names added to it. Throws where there is none.
    private func mergedList(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        var request = request
        request.head.headers.replaceOrAdd(name: "Accept-Encoding", value: "identity")
        var response = try await next(request)
        guard response.status == .ok else {
            let reason = Self.noList("It answered with \(response.status.code).")
            await response.discard(because: reason)
            throw reason
        }
        let bytes = try await response.collect(upTo: ModelObject.maxListBytes, in: exchange)
        guard let merged = ModelObject.merge(table.listed, into: bytes) else {
            throw Self.noList("Its answer is not a list of models.")
        }
        response.body = .bytes(merged)
        response.headers.remove(name: "Content-Length")
        return response
    }

    private static func noList(_ message: String) -> GatewayError {
        GatewayError(.upstream, .badGateway, code: "upstream_protocol_error", message)
    }
}

extension Provider {
    /// Whether `path`, below the base URL, is under one of the listed prefixes. A prefix ends at a segment's end.
    func passesThrough(_ path: Substring) -> Bool {
        passthrough.contains { prefix in
            prefix == "*" || path == prefix
                || (path.hasPrefix(prefix) && (prefix.hasSuffix("/") || path.dropFirst(prefix.count).first == "/"))
        }
    }
}
