import TurnpikeKit

/// How long something took, in buckets from a millisecond to two minutes, for each of some labels.
final class DurationHistogram: Sendable {
    /// Upper bounds in seconds; beyond the last one there is one bucket more.
    static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
    private static let nanoseconds = bounds.map { UInt64($0 * 1e9) }

    private let labels: [String]
    /// Per label: the buckets, the one beyond, and the sum in microseconds.
    private let counters: AtomicCounters
    private static let width = bounds.count + 2

    init(_ labels: [String]) {
        self.labels = labels
        counters = AtomicCounters(count: labels.count * Self.width)
    }

    func add(_ duration: UInt64, at label: Int) {
        var bucket = 0
        while bucket < Self.nanoseconds.count, duration > Self.nanoseconds[bucket] { bucket += 1 }
        counters.add(at: label * Self.width + bucket)
        counters.add(Int(duration / 1_000), at: label * Self.width + Self.width - 1)
    }

    /// Only of labels that have any.
    var samples: [MetricRegistry.Sample] {
        labels.indices.flatMap { label -> [MetricRegistry.Sample] in
            let start = label * Self.width
            var total = 0
            var samples: [MetricRegistry.Sample] = []
            for (bucket, bound) in (Self.bounds + [.infinity]).enumerated() {
                total += counters[start + bucket]
                let text = bound == .infinity ? "+Inf" : "\(bound)"
                samples.append(.init(Double(total), [("endpoint", labels[label]), ("le", text)], suffix: "_bucket"))
            }
            guard total > 0 else { return [] }
            let sum = Double(counters[start + Self.width - 1]) / 1e6
            samples.append(.init(sum, [("endpoint", labels[label])], suffix: "_sum"))
            samples.append(.init(Double(total), [("endpoint", labels[label])], suffix: "_count"))
            return samples
        }
    }
}
