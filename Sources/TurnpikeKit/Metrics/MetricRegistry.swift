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

    private struct State {
        var metrics: [Metric] = []
        /// What is registered goes to `base`.
        var isPublished = false
    }

    private let state = Mutex(State())
    private let base: MetricRegistry?

    public init() { base = nil }

    private init(draftOf base: MetricRegistry) { self.base = base }

    /// A registry whose metrics nobody sees before ``publish()``: for a world that may prove to be unusable, and must not
    /// have taken the running one's metrics away then.
    package func draft() -> MetricRegistry { MetricRegistry(draftOf: self) }

    /// Hands what this draft has to the registry that it is a draft of, and from now on whatever comes.
    package func publish() {
        let metrics = state.withLock { state in
            state.isPublished = true
            defer { state.metrics = [] }
            return state.metrics
        }
        for metric in metrics { add(metric) }
    }

    /// Adds a metric, or replaces the one of that name: the plugins of a new world take the place of the old ones'.
    ///
    /// - Parameters:
    ///   - name: Begins with `turnpike_`, ends with its unit; a counter's with `_total`.
    ///   - read: Must not block. It keeps what it captures for as long as the process runs, or until it is replaced.
    public func register(_ name: String, _ kind: Kind, _ help: String, read: @escaping @Sendable () -> [Sample]) {
        add(Metric(name: name, kind: kind, help: help, read: read))
    }

    private func add(_ metric: Metric) {
        let isBases = state.withLock { state in
            guard !state.isPublished else { return true }
            if let index = state.metrics.firstIndex(where: { $0.name == metric.name }) {
                state.metrics[index] = metric
            } else {
                state.metrics.append(metric)
            }
            return false
        }
        if isBases { base?.add(metric) }
    }

    /// A metric of one number without labels.
    public func register(_ name: String, _ kind: Kind, _ help: String, value: @escaping @Sendable () -> Double) {
        register(name, kind, help) { [Sample(value())] }
    }

    /// Everything, in the order of its registration (text format 0.0.4).
    package func text() -> String {
        var text = ""
        for metric in state.withLock({ $0.metrics }) {
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
