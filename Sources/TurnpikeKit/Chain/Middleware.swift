/// One step in the life of an exchange: answers the request, or passes it on with `next` and may rework the answer.
///
/// `handle` is called once per exchange, on the event loop that the exchange belongs to; it may wait but never block.
/// Before `next` it may change the request, leave values in the exchange, or answer by itself; afterwards it may change
/// the response's head and add a ``ResponseTransformer`` for its body, which streams after `handle` has returned.
/// What it throws becomes an error answer in OpenAI's envelope: throw a ``GatewayError`` to choose its words. Work that
/// must happen whatever the end belongs into ``Exchange/onFinish(_:)``, not behind `next`.
public protocol Middleware: Sendable {
    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response

    /// Whether the step has anything to do in this exchange, as it is when its turn comes; `handle` is not called where it
    /// has not. Every step that waits with an exchange costs time and holds memory until its answer has come, so one that
    /// sees at a glance that it would only pass the request on says so here. The default says yes.
    func isConcerned(with exchange: Exchange) -> Bool

    /// Does the step's part at once, where it need not wait, nor change the request, nor see the answer; else `handle` is
    /// called.
    ///
    /// Asked when the step's turn comes, before `handle`. What it throws is taken as what `handle` throws. Where it leaves
    /// the work to `handle` it may have begun: `handle` does all of it. The default leaves everything to `handle`.
    func pass(_ request: Request, in exchange: Exchange) throws -> Passing
}

/// What a step has done of its part before it would have to wait.
public enum Passing: Sendable {
    /// All of it: the request goes on to the next step.
    case done
    /// `handle` is to do it.
    case handle
}

extension Middleware {
    public func isConcerned(with exchange: Exchange) -> Bool { true }
    public func pass(_ request: Request, in exchange: Exchange) throws -> Passing { .handle }
}

/// The rest of the chain.
public struct Next: Sendable {
    private let chain: Chain
    private let position: Int
    private let exchange: Exchange
    /// Where the result is noted for a plugin that fails open.
    private let result: InnerResult?

    init(_ chain: Chain, from position: Int, in exchange: Exchange, result: InnerResult? = nil) {
        self.chain = chain
        self.position = position
        self.exchange = exchange
        self.result = result
    }

    /// Runs the rest of the chain and returns its answer. Call it at most once.
    ///
    /// Return the answer, reworked or not; one that is replaced is given up with ``Response/discard(because:)``.
    public func callAsFunction(_ request: Request) async throws -> Response {
        guard let result else { return try await chain.run(request, in: exchange, from: position) }
        return try await run(request, remembering: result)
    }

    /// Apart, for the sake of memory: what one function waits with is kept for every step of every open exchange.
    @inline(never) private func run(_ request: Request, remembering result: InnerResult) async throws -> Response {
        do {
            let response = try await chain.run(request, in: exchange, from: position)
            result.remember(.success(response))
            return response
        } catch {
            result.remember(.failure(error))
            throw error
        }
    }
}
