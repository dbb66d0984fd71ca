import Logging
import Synchronization

/// What the failure of a plugin does to the request that it was working on.
public enum FailurePolicy: String, Sendable {
    /// The client gets an error.
    case closed
    /// The request is passed on as if the plugin were not there; the failure is logged.
    case open
}

/// The middlewares of an exchange, in order. Immutable: a reload builds another one.
package final class Chain: Sendable {
    /// One middleware and how it is run.
    package struct Link: Sendable {
        package let id: String
        package let middleware: any Middleware
        /// The flag that switches it per exchange; `nil` for the stages that cannot be switched.
        package let flag: String?
        package let onFailure: FailurePolicy

        package init(id: String, middleware: any Middleware, flag: String? = nil, onFailure: FailurePolicy = .closed) {
            self.id = id
            self.middleware = middleware
            self.flag = flag
            self.onFailure = onFailure
        }
    }

    private let links: [Link]

    package init(_ links: [Link]) { self.links = links }

    /// The answer of the chain, or what a middleware threw.
    package func run(_ request: Request, in exchange: Exchange, from position: Int = 0) async throws -> Response {
        for index in position..<links.count {
            let link = links[index]
            if let flag = link.flag, !exchange.isOn(flag) { continue }
            let next = Next(self, from: index + 1, in: exchange)
            switch link.onFailure {
            case .closed: return try await link.middleware.handle(request, in: exchange, next: next)
            case .open: return try await runOpen(link, request, in: exchange, next: next)
            }
        }
        throw GatewayError.internalError("the chain ended without an answer: its last step must be a router")
    }

    /// Runs a plugin whose own failure must not hurt. A failure of the steps behind it stays theirs.
    private func runOpen(_ link: Link, _ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        let inner = InnerResult()
        let watched = Chain([Link(id: "rest", middleware: RestOfChain(next: next, result: inner))])
        do {
            return try await link.middleware.handle(
                request, in: exchange, next: Next(watched, from: 0, in: exchange))
        } catch {
            if let error = error as? GatewayError, error.code == GatewayError.clientLeft.code { throw error }
            exchange.logger.warning(
                "A plugin failed and was passed over.",
                metadata: ["plugin": "\(link.id)", "error": "\(String(reflecting: error))"])
            guard let result = inner.value else { return try await next(request) }
            return try result.get()
        }
    }
}

/// What the steps behind an open plugin gave, whatever the plugin then made of it.
private final class InnerResult: Sendable {
    private let stored = Mutex<Result<Response, any Error>?>(nil)
    var value: Result<Response, any Error>? { stored.withLock { $0 } }
    func remember(_ result: Result<Response, any Error>) { stored.withLock { $0 = result } }
}

private struct RestOfChain: Middleware {
    let next: Next
    let result: InnerResult

    func handle(_ request: Request, in exchange: Exchange, next _: Next) async throws -> Response {
        do {
            let response = try await next(request)
            result.remember(.success(response))
            return response
        } catch {
            result.remember(.failure(error))
            throw error
        }
    }
}
