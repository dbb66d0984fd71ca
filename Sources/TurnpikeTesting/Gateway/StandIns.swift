import NIOHTTP1
import Persistence
import Synchronization
import TurnpikeKit

/// Stands in for `auth`: the bearer token is the user's name.
struct TestAuthentication: Plugin, Middleware {
    static let factory = PluginFactory(id: "auth", stage: .authenticate) { _ in TestAuthentication() }

    private let users = UserIDs()
    var middleware: (any Middleware)? { self }

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        let credential = request.head.headers.first(name: "Authorization") ?? ""
        guard credential.hasPrefix("Bearer "), credential.utf8.count > 7 else {
            throw GatewayError(.client, .unauthorized, code: "invalid_api_key", "There is no bearer token.")
        }
        let name = String(credential.dropFirst(7))
        exchange[PrincipalKey.self] = Principal(
            userID: users[name], userName: name, keyID: users[name], keyName: "test", scopes: [.chat, .admin])
        return try await next(request)
    }

    /// A user keeps the id of the first request.
    private final class UserIDs: Sendable {
        private let ids = Mutex<[String: UniqueID]>([:])

        subscript(name: String) -> UniqueID {
            ids.withLock { ids in
                if let id = ids[name] { return id }
                let id = UniqueID.generate()
                ids[name] = id
                return id
            }
        }
    }
}

/// Stands in for `models`: whatever is asked for is at the one provider, under its name.
struct TestModels: Plugin, Middleware {
    static let factory = PluginFactory(id: "models", stage: .resolve) { setup in
        TestModels(providers: setup[ProvidersKey.self])
    }

    let providers: Providers
    var middleware: (any Middleware)? { self }

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        let model = exchange.fact { $0.requestedModel }
        if let provider = providers.all.first {
            exchange[RoutePlanKey.self] = RoutePlan(
                requestedModel: model, targets: [RouteTarget(provider: provider, model: model)])
        }
        return try await next(request)
    }
}

/// Remembers how exchanges ended.
final class OutcomeLog: Sendable {
    private struct State {
        var outcomes: [Outcome] = []
        var waiters: [(count: Int, continuation: CheckedContinuation<[Outcome], Never>)] = []
    }
    private let state = Mutex(State())

    var factory: PluginFactory { PluginFactory(id: "outcomes", stage: .observe) { [self] _ in Observer(log: self) } }

    func first(_ count: Int) async -> [Outcome] {
        await withCheckedContinuation { continuation in
            change { $0.waiters.append((count, continuation)) }
        }
    }

    private func change(_ change: (inout State) -> Void) {
        let (ready, outcomes) = state.withLock { state in
            change(&state)
            let ready = state.waiters.filter { $0.count <= state.outcomes.count }
            state.waiters.removeAll { $0.count <= state.outcomes.count }
            return (ready, state.outcomes)
        }
        for waiter in ready { waiter.continuation.resume(returning: outcomes) }
    }

    private struct Observer: Plugin, Middleware {
        let log: OutcomeLog
        var middleware: (any Middleware)? { self }

        func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
            exchange.onFinish { [log] outcome in log.change { $0.outcomes.append(outcome) } }
            return try await next(request)
        }
    }
}
