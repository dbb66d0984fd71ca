import NIOCore
public import NIOHTTP1
import Synchronization
public import TurnpikeKit

/// The last step of the chain: gives the answers of a script, in their order, and remembers what it was sent.
///
/// Beyond the script it answers “ok”.
public final class TestUpstream: Sendable {
    /// What the upstream was sent.
    public struct Seen: Sendable {
        public var head: RequestHead
        public var body: String
    }

    /// What becomes of a stream after its last event.
    public enum StreamEnd: Sendable {
        case complete
        /// It breaks off.
        case failed(GatewayError)
        /// Nothing more comes until the client leaves. In process, such an answer can only be left.
        case open
    }

    /// One answer.
    public enum Reply: Sendable {
        case json(String, status: HTTPResponseStatus = .ok)
        /// Server-sent events, each a chunk of the body; without the empty line behind them.
        case events([String], end: StreamEnd = .complete)
        /// There is no answer.
        case error(GatewayError)
    }

    private let state = Mutex<(replies: [Reply], seen: [Seen])>(([], []))

    public init(_ replies: [Reply] = []) { state.withLock { $0.replies = replies } }

    /// Adds an answer to the script.
    public func reply(_ reply: Reply) { state.withLock { $0.replies.append(reply) } }
    /// Every request, in the order in which they came.
    public var seen: [Seen] { state.withLock { $0.seen } }

    var factory: PluginFactory { PluginFactory(id: "router", stage: .route) { [self] _ in Router(upstream: self) } }

    private struct Router: Plugin, Middleware {
        let upstream: TestUpstream
        var middleware: (any Middleware)? { self }

        func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
            let body = String(buffer: try await request.body.collect(upTo: 32 << 20))
            return try upstream.takeReply(to: Seen(head: request.head, body: body)).response()
        }
    }

    private func takeReply(to seen: Seen) -> Reply {
        state.withLock { state in
            state.seen.append(seen)
            return state.replies.isEmpty ? Self.ok : state.replies.removeFirst()
        }
    }

    private static let ok = Reply.json(
        #"{"id":"c1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","#
            + #""content":"ok"},"finish_reason":"stop"}]}"#)
}

extension TestUpstream.Reply {
    fileprivate func response() throws -> Response {
        switch self {
        case .json(let text, let status): return .json(ByteBuffer(string: text), status: status)
        case .error(let error): throw error
        case .events(let events, let end):
            let pieces = events.map { ByteBuffer(string: "\($0)\n\n") }
            return Response(
                status: .ok, headers: ["Content-Type": "text/event-stream; charset=utf-8"],
                body: .stream(ScriptedBody(pieces, end: end.bodyEnd)))
        }
    }
}

extension TestUpstream.StreamEnd {
    fileprivate var bodyEnd: BodyEnd? {
        switch self {
        case .complete: .complete
        case .failed(let error): .failed(error)
        case .open: nil
        }
    }
}
