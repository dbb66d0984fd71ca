import Logging
import NIOHTTP1
import NIOPosix
import Testing
import TurnpikeKit

@testable import TurnpikeRuntime

@Suite struct MetricsTests {
    private let registry = MetricRegistry()
    private let metrics = RequestMetrics()

    private func exchange(_ endpoint: Endpoint? = nil, provider: String? = nil, upstream: Int? = nil) -> Exchange {
        let exchange = Exchange(
            head: RequestHead(method: .POST, target: "/v1/x"), eventLoop: MultiThreadedEventLoopGroup.singleton.any(),
            clock: .system, logger: Logger(label: "t") { _ in SwiftLogNoOpLogHandler() })
        exchange[EndpointKey.self] = endpoint
        exchange.note { facts in
            facts.provider = provider
            facts.upstreamStatus = upstream
        }
        metrics.begin(exchange)
        return exchange
    }

    private var lines: [Substring] {
        metrics.register(in: registry)
        return registry.text().split(separator: "\n")
    }

    @Test func countsExchangesByEndpointStatusAndOutcome() {
        for _ in 0..<3 { exchange(.chatCompletions).finish(Outcome(ending: .completed, status: 200)) }
        exchange().finish(Outcome(ending: .refused(.badRequest("x", "y")), status: 400))
        exchange(.json).finish(Outcome(ending: .clientLeft, status: 0))
        _ = exchange(.json)
        let lines = lines
        #expect(
            lines.contains(
                #"turnpike_requests_total{endpoint="chat_completions",status="2xx",outcome="completed"} 3"#))
        #expect(lines.contains(#"turnpike_requests_total{endpoint="own",status="4xx",outcome="refused"} 1"#))
        #expect(lines.contains(#"turnpike_requests_total{endpoint="json",status="none",outcome="abandoned"} 1"#))
        #expect(lines.contains("turnpike_requests_in_flight 1"))
    }

    @Test func countsThePluginsThatWerePassedOver() async throws {
        struct Broken: Middleware {
            func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
                throw GatewayError.internalError("broken")
            }
        }
        struct Answering: Middleware {
            func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
                Response(status: .ok)
            }
        }
        let chain = Chain([
            .init(id: "broken", middleware: Broken(), onFailure: .open), .init(id: "router", middleware: Answering()),
        ])
        for _ in 0..<2 {
            let exchange = exchange(.chatCompletions)
            _ = try await chain.run(Request(head: exchange.head, body: .empty), in: exchange)
            exchange.finish(Outcome(ending: .completed, status: 200))
        }
        #expect(lines.contains(#"turnpike_plugin_failures_total{plugin="broken"} 2"#))
    }

    @Test func sortsDurationsIntoBucketsThatAddUp() {
        for milliseconds in [0, 1, 3, 200, 500_000] as [UInt64] {
            exchange(.models(id: nil)).finish(
                Outcome(
                    ending: .completed, status: 200, firstByteNanoseconds: milliseconds * 1_000_000,
                    totalNanoseconds: milliseconds * 1_000_000))
        }
        let lines = lines
        for name in ["turnpike_request_duration_seconds", "turnpike_first_byte_seconds"] {
            for (bound, count) in [("0.001", 2), ("0.0025", 2), ("0.005", 3), ("0.25", 4), ("120.0", 4), ("+Inf", 5)] {
                #expect(lines.contains("\(name)_bucket{endpoint=\"models\",le=\"\(bound)\"} \(count)"))
            }
            #expect(lines.contains("\(name)_count{endpoint=\"models\"} 5"))
            #expect(lines.contains("\(name)_sum{endpoint=\"models\"} 500.204"))
        }
    }

    @Test func countsErrorsOfProvidersByKind() {
        let error = GatewayError(.upstream, .badGateway, code: "upstream_timeout", "x")
        exchange(.json, provider: "a\"b\\\n").finish(Outcome(ending: .failed(error), status: 502))
        exchange(.json, provider: "p", upstream: 503).finish(Outcome(ending: .completed, status: 503))
        exchange(.json, provider: "p", upstream: 404).finish(Outcome(ending: .completed, status: 404))
        let found = lines.filter { $0.hasPrefix("turnpike_upstream_errors_total") }
        #expect(
            found == [
                #"turnpike_upstream_errors_total{provider="a\"b\\\n",kind="upstream_timeout"} 1"#,
                #"turnpike_upstream_errors_total{provider="p",kind="http_5xx"} 1"#,
            ])
    }

    @Test func replacesAMetricOfTheSameName() {
        registry.register("turnpike_x", .gauge, "One.") { 1.0 }
        registry.register("turnpike_x", .gauge, "Two.") { 2.5 }
        #expect(registry.text() == "# HELP turnpike_x Two.\n# TYPE turnpike_x gauge\nturnpike_x 2.5\n")
    }
}
