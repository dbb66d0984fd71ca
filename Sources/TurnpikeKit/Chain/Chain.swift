import Logging
import Synchronization

/// What the failure of a plugin does to the request that it was working on.
public enum FailurePolicy: String, Sendable, CaseIterable {
    /// The client gets an error.
    case closed
    /// The request is passed on as if the plugin were not there; the failure is logged.
    ///
    /// This holds for a transformer, too, as long as it has withheld or replaced nothing: what would be lost ends the
    /// answer instead.
    case open
}

/// The middlewares of an exchange, in order. Immutable: a reload builds another one.
package final class Chain: Sendable {
    /// One middleware and how it is run. A class, because every step of every open exchange holds one.
    package final class Link: Sendable {
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
    ///
    /// Not inlined, and what it rarely does stands apart: the frames of an open exchange's steps lie in memory together.
    @inline(never) package func run(_ request: Request, in exchange: Exchange, from position: Int = 0) async throws
        -> Response
    {
        let index = try firstToHandle(request, in: exchange, from: position)
        let link = links[index]
        switch link.onFailure {
        case .closed:
            let next = Next(self, from: index + 1, in: exchange)
            return try await link.middleware.handle(request, in: exchange, next: next)
        case .open: return try await runOpen(link, request, in: exchange, from: index + 1)
        }
    }

    /// Takes the request past the steps that are not concerned, or do their part at once, up to the one that handles it.
    @inline(never) private func firstToHandle(_ request: Request, in exchange: Exchange, from position: Int) throws
        -> Int
    {
        for index in position..<links.count {
            let link = links[index]
            guard link.middleware.isConcerned(with: exchange) else { continue }
            if let flag = link.flag, !exchange.isOn(flag) { continue }
            switch try pass(link, request, in: exchange) {
            case .done: continue
            case .handle: return index
            }
        }
        throw GatewayError.internalError("the chain ended without an answer: its last step must be a router")
    }

    private func pass(_ link: Link, _ request: Request, in exchange: Exchange) throws -> Passing {
        do {
            return try link.middleware.pass(request, in: exchange)
        } catch {
            guard case .open = link.onFailure, !error.isClientLeft else { throw error }
            exchange.passOver(link.id, because: error)
            return .done
        }
    }

    /// Runs a plugin whose own failure must not hurt. A failure of the steps behind it stays theirs.
    @inline(never) private func runOpen(_ link: Link, _ request: Request, in exchange: Exchange, from rest: Int)
        async throws
        -> Response
    {
        let inner = InnerResult()
        let next = Next(self, from: rest, in: exchange, result: inner)
        do {
            var response = try await link.middleware.handle(request, in: exchange, next: next)
            response.tolerateFailures(of: link.id, in: exchange, from: inner.transformerCount)
            return response
        } catch {
            switch inner.value {
            // The plugin may have thrown something of its own because of it: the cause is what counts.
            case .failure(let cause)?: throw cause
            case .success(let response)?:
                exchange.passOver(link.id, because: error)
                return response
            case nil:
                // Whoever has left needs no answer, and must not cost an upstream call.
                if Task.isCancelled || error.isClientLeft { throw GatewayError.clientLeft }
                exchange.passOver(link.id, because: error)
                return try await Next(self, from: rest, in: exchange)(request)
            }
        }
    }

}

extension Exchange {
    /// Logs and counts the failure of a plugin that must not hurt.
    func passOver(_ pluginID: String, because error: any Error) {
        note { $0.passedOver.append(pluginID) }
        logger.warning(
            "A plugin failed and was passed over.",
            metadata: ["plugin": "\(pluginID)", "error": "\(String(reflecting: error))"])
    }
}

/// What the steps behind an open plugin gave, whatever the plugin then made of it.
final class InnerResult: Sendable {
    private let stored = Mutex<Result<Response, any Error>?>(nil)

    var value: Result<Response, any Error>? { stored.withLock { $0 } }
    func remember(_ result: Result<Response, any Error>) { stored.withLock { $0 = result } }

    /// How many transformers the answer had when the plugin got it.
    fileprivate var transformerCount: Int {
        if case .success(let response)? = value { response.transformers.count } else { 0 }
    }
}

extension Error {
    fileprivate var isClientLeft: Bool { (self as? GatewayError)?.code == GatewayError.clientLeft.code }
}
