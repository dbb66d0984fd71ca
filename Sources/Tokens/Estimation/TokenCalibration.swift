import Synchronization

/// Learns, for each model that is only estimated, how its reported counts differ from the estimates.
///
/// Bounded: of the models that were not seen for longest, the oldest is forgotten. Thread-safe.
public final class TokenCalibration: Sendable {
    /// More models than one gateway serves.
    static let capacity = 512
    /// The weight of a new observation; the first ones weigh more, so that a model is known after a few.
    private static let smoothing = 0.1
    /// What no tokeniser does: beyond it a report is of something else, such as text that the provider added.
    private static let plausible = 0.2...5.0
    /// A margin is never smaller: one text differs from another.
    private static let leastDeviation = 0.05

    private struct Entry {
        var factor = 1.0
        var deviation = 0.0
        var observations = 0
        var lastUse = 0
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var clock = 0
    }

    private let state = Mutex(State())

    public init() {}

    /// How many models are known.
    public var count: Int { state.withLock { $0.entries.count } }

    /// The estimator for `model` by what was reported until now.
    public func estimator(for model: String) -> TokenEstimator {
        state.withLock { state in
            guard let entry = state.entries[model] else { return TokenEstimator() }
            // Twice the mean deviation covers nearly all; what is known from few reports is known badly.
            let doubt = TokenEstimator.unknownDeviation / Double(entry.observations + 1)
            return TokenEstimator(
                factor: entry.factor, deviation: max(2 * entry.deviation + doubt, Self.leastDeviation))
        }
    }

    /// Whether another report about `model` is worth the counting: the first ones are, then one of sixteen.
    ///
    /// - Parameter ticket: Any number that differs from exchange to exchange.
    public func wantsReport(of model: String, ticket: UInt64) -> Bool {
        let seen = state.withLock { $0.entries[model]?.observations ?? 0 }
        return seen < 32 || ticket % 16 == 0
    }

    /// Notes that an upstream reported `reported` prompt tokens where the uncorrected estimate was `estimated`.
    /// Small prompts say more about a template than about text, so they are left out.
    public func observe(_ model: String, estimated: Int, reported: Int) {
        guard estimated >= 32 else { return }
        let ratio = Double(reported) / Double(estimated)
        guard Self.plausible.contains(ratio) else { return }
        state.withLock { state in
            state.clock += 1
            var entry = state.entries[model] ?? Entry()
            entry.observations += 1
            entry.lastUse = state.clock
            let weight = max(Self.smoothing, 1 / Double(entry.observations))
            let distance = abs(ratio - entry.factor) / entry.factor
            if entry.observations > 1 { entry.deviation += weight * (distance - entry.deviation) }
            entry.factor += weight * (ratio - entry.factor)
            state.entries[model] = entry
            if state.entries.count > Self.capacity,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.entries[oldest.key] = nil
            }
        }
    }
}
