import Synchronization
import TurnpikeKit

/// How often a target failed and another one was tried, by the provider that failed.
///
/// Clients do not notice it, and the exchange ends well: nothing else that is counted shows it.
final class FallbackCounts: Sendable {
    private let counts = Mutex<[String: Int]>([:])

    func add(_ provider: String) { counts.withLock { $0[provider, default: 0] += 1 } }

    func register(in registry: MetricRegistry) {
        registry.register(
            "turnpike_fallbacks_total", .counter, "Targets that failed before another one was tried, by provider."
        ) { self.samples }
    }

    private var samples: [MetricRegistry.Sample] {
        counts.withLock { $0 }.sorted { $0.key < $1.key }.map { provider, count in
            MetricRegistry.Sample(Double(count), [("provider", provider)])
        }
    }
}
