import Glibc
import Logging
import NIOHTTP1
import NIOPosix
import Testing
import TurnpikeKit

@testable import AuthPlugin

/// Prints costs; for a release build: `TURNPIKE_MEASURE=1 swift test -c release -Xswiftc -enable-testing --filter Cost`.
@Suite(.enabled(if: getenv("TURNPIKE_MEASURE") != nil), .serialized) struct AuthCostTests {
    @Test func aVerifiedKeyCostsAFewMicroseconds() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        let headers: HTTPHeaders = [
            "Host": "127.0.0.1", "Accept": "application/json", "Content-Type": "application/json",
            "User-Agent": "OpenAI/Python 1.99", "X-Stainless-Lang": "python", "X-Stainless-OS": "Linux",
            "Authorization": "Bearer \(key.secret.reveal())", "Content-Length": "1024",
        ]
        #expect(try await bench.authenticate(headers) != nil)
        let head = RequestHead(method: .POST, target: "/v1/chat/completions", headers: headers)
        let exchange = Exchange(
            head: head, eventLoop: MultiThreadedEventLoopGroup.singleton.any(), logger: Logger(label: "test"))
        let middleware = AuthMiddleware(
            verifier: bench.verifier, clock: .system)
        let end = Chain.Link(id: "end", middleware: Answer())
        let bare = Chain([end])
        let chain = Chain([Chain.Link(id: "auth", middleware: middleware), end])
        let request = Request(head: head)
        let rounds = 200_000
        for _ in 0..<3 {
            var start = GatewayClock.system.monotonicNanoseconds()
            for _ in 0..<rounds { _ = try await bare.run(request, in: exchange) }
            let without = GatewayClock.system.monotonicNanoseconds() - start
            start = GatewayClock.system.monotonicNanoseconds()
            for _ in 0..<rounds { _ = try await chain.run(request, in: exchange) }
            let with = GatewayClock.system.monotonicNanoseconds() - start
            print("auth: \((with - without) / UInt64(rounds)) ns per request with a verified key")
            #expect((with - without) / UInt64(rounds) < 3_000)
        }
    }
}

private struct Answer: Middleware {
    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        Response(status: .ok)
    }
}
