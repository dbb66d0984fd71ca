import Synchronization

/// The metrics of this process, in the text format of Prometheus.
///
/// Nothing is counted here: whoever has a number registers how it is read, and is asked when somebody looks. Labels come
/// from this program or its configuration, never from a request, so their number is bounded.
public final class MetricRegistry: Sendable {
    /// What the numbers of a metric are.
    public enum Kind: String, Sendable { case counter, gauge, histogram }

    /// One number.
    public struct Sample: Sendable {
        /// Behind the metric's name: `_bucket`, `_sum` and `_count` of a histogram.
        public var suffix: String
        public var labels: [(name: String, value: String)]
        public var value: Double

        public init(_ value: Double, _ labels: [(name: String, value: String)] = [], suffix: String = "") {
            self.value = value
            self.labels = labels
            self.suffix = suffix
        }
    }

    private struct Metric: Sendable {
        let name: String
        let kind: Kind
        let help: String
        let read: @Sendable () -> [Sample]
    }

    private let metrics = Mutex<[Metric]>([])

    public init() {}

    /// Adds a metric, or replaces the one of that name: the plugins of a new world take the place of the old ones'.
    ///
    /// - Parameters:
    ///   - name: Begins with `turnpike_`, ends with its unit; a counter's with `_total`.
    ///   - read: Must not block. It keeps what it captures for as long as the process runs, or until it is replaced.
    public func register(_ name: String, _ kind: Kind, _ help: String, read: @escaping @Sendable () -> [Sample]) {
        let metric = Metric(name: name, kind: kind, help: help, read: read)
        metrics.withLock { metrics in
            if let index = metrics.firstIndex(where: { $0.name == name }) {
                metrics[index] = metric
            } else {
                metrics.append(metric)
            }
        }
    }

    /// A metric of one number without labels.
    public func register(_ name: String, _ kind: Kind, _ help: String, value: @escaping @Sendable () -> Double) {
        register(name, kind, help) { [Sample(value())] }
    }

    /// Everything, in the order of its registration (text format 0.0.4).
    package func text() -> String {
        var text = ""
        for metric in metrics.withLock({ $0 }) {
            text += "# HELP \(metric.name) \(metric.help)\n# TYPE \(metric.name) \(metric.kind.rawValue)\n"
            for sample in metric.read() {
                text += metric.name + sample.suffix + Self.labels(sample.labels) + " \(Self.number(sample.value))\n"
            }
        }
        return text
    }

    private static func labels(_ labels: [(name: String, value: String)]) -> String {
        guard !labels.isEmpty else { return "" }
        return "{" + labels.map { "\($0.name)=\"\(escaped($0.value))\"" }.joined(separator: ",") + "}"
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n", "\r\n": result += "\\n"
            default: result.append(character)
            }
        }
    }

    /// Whole numbers without a fraction, as all readers of the format take them.
    private static func number(_ value: Double) -> String {
        Int64(exactly: value).map { "\($0)" } ?? (value == .infinity ? "+Inf" : "\(value)")
    }
}

/// Where plugins register their numbers.
public enum MetricRegistryKey: ResourceKey { public typealias Value = MetricRegistry }
