import Synchronization
package import TurnpikeKit

/// What is counted of every exchange: how many, how they ended, how long they took.
///
/// A request costs some additions to shared counters. Nothing is told apart by user, session, key or model: those are
/// what the activity log is for.
package final class RequestMetrics: ExchangeObserver {
    /// The endpoints as labels; what has no endpoint is Turnpike's own.
    private static let endpoints = ["chat_completions", "models", "json", "streamed", "stateful", "unknown", "own"]
    private static let statuses = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"]
    private static let outcomes = ["completed", "refused", "failed", "abandoned"]
    /// More kinds of errors than the program has; a bound all the same.
    private static let maximumErrors = 256

    private struct ErrorKind: Hashable {
        let provider: String
        let code: String
    }

    private let requests = AtomicCounters(count: endpoints.count * statuses.count * outcomes.count)
    private let inFlight = Atomic<Int>(0)
    private let durations = DurationHistogram(endpoints)
    private let firstBytes = DurationHistogram(endpoints)
    private let errors = Mutex<[ErrorKind: Int]>([:])
    /// Of plugins, by their ids.
    private let passedOver = Mutex<[String: Int]>([:])

    package init() {}

    /// An exchange has begun; it is counted when it ends.
    func begin(_ exchange: Exchange) {
        inFlight.wrappingAdd(1, ordering: .relaxed)
        exchange.observe(with: self)
    }

    package func ended(_ exchange: Exchange, _ outcome: Outcome) {
        inFlight.wrappingSubtract(1, ordering: .relaxed)
        let endpoint = Self.index(exchange[EndpointKey.self])
        let status = min(max(outcome.status / 100, 0), Self.statuses.count - 1)
        let ending = Self.index(outcome.ending)
        requests.add(at: (endpoint * Self.statuses.count + status) * Self.outcomes.count + ending)
        durations.add(outcome.totalNanoseconds, at: endpoint)
        if let nanoseconds = outcome.firstByteNanoseconds { firstBytes.add(nanoseconds, at: endpoint) }
        for plugin in exchange.fact({ $0.passedOver }) { passedOver.withLock { $0[plugin, default: 0] += 1 } }
        switch outcome.ending {
        case .refused(let error), .failed(let error): if error.source == .upstream { count(error, in: exchange) }
        case .completed: if outcome.status >= 500 { countStatus(of: exchange) }
        case .clientLeft: break
        }
    }

    // MARK: Errors of upstreams

    private func count(_ error: GatewayError, in exchange: Exchange) {
        add(ErrorKind(provider: exchange.facts.provider ?? "", code: error.code))
    }

    private func countStatus(of exchange: Exchange) {
        let facts = exchange.facts
        guard let status = facts.upstreamStatus, status >= 500 else { return }
        add(ErrorKind(provider: facts.provider ?? "", code: "http_5xx"))
    }

    private func add(_ kind: ErrorKind) {
        errors.withLock { errors in
            guard errors[kind] != nil || errors.count < Self.maximumErrors else { return }
            errors[kind, default: 0] += 1
        }
    }

    // MARK: Labels

    private static func index(_ endpoint: Endpoint?) -> Int {
        switch endpoint {
        case .chatCompletions: 0
        case .models: 1
        case .json: 2
        case .streamed: 3
        case .stateful: 4
        case .unknown: 5
        case nil: 6
        }
    }

    private static func index(_ ending: Outcome.Ending) -> Int {
        switch ending {
        case .completed: 0
        case .refused: 1
        case .failed: 2
        case .clientLeft: 3
        }
    }

    // MARK: Reading

    package func register(in registry: MetricRegistry) {
        registry.register("turnpike_requests_total", .counter, "Exchanges that are over.") { self.requestSamples }
        registry.register("turnpike_requests_in_flight", .gauge, "Exchanges under way.") {
            Double(self.inFlight.load(ordering: .relaxed))
        }
        registry.register("turnpike_request_duration_seconds", .histogram, "From the request's head to the end.") {
            self.durations.samples
        }
        registry.register(
            "turnpike_first_byte_seconds", .histogram, "From the request's head to the first byte of the answer's body."
        ) { self.firstBytes.samples }
        registry.register("turnpike_upstream_errors_total", .counter, "Errors of providers, by their kind.") {
            self.errorSamples
        }
        registry.register(
            "turnpike_plugin_failures_total", .counter, "Failures of plugins that fail open and were passed over."
        ) {
            self.passedOver.withLock { $0 }.sorted { $0.key < $1.key }.map { plugin, count in
                MetricRegistry.Sample(Double(count), [("plugin", plugin)])
            }
        }
    }

    private var requestSamples: [MetricRegistry.Sample] {
        (0..<requests.count).compactMap { index in
            let value = requests[index]
            guard value > 0 else { return nil }
            let (rest, ending) = index.quotientAndRemainder(dividingBy: Self.outcomes.count)
            let (endpoint, status) = rest.quotientAndRemainder(dividingBy: Self.statuses.count)
            return MetricRegistry.Sample(
                Double(value),
                [
                    ("endpoint", Self.endpoints[endpoint]), ("status", Self.statuses[status]),
                    ("outcome", Self.outcomes[ending]),
                ])
        }
    }

    private var errorSamples: [MetricRegistry.Sample] {
        errors.withLock { $0 }.sorted { ($0.key.provider, $0.key.code) < ($1.key.provider, $1.key.code) }.map {
            kind, count in
            MetricRegistry.Sample(Double(count), [("provider", kind.provider), ("kind", kind.code)])
        }
    }
}
