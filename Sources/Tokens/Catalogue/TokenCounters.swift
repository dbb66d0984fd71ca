/// The counters of all models: what the catalogue knows, and what upstreams have reported.
///
/// A reload of the configuration makes a new one and hands the calibration on.
public final class TokenCounters: Sendable {
    /// What is known of models.
    public let catalogue: ModelCatalogue
    /// What was learned; it fits another catalogue too.
    public let calibration: TokenCalibration

    public init(_ catalogue: ModelCatalogue, calibration: TokenCalibration = TokenCalibration()) {
        self.catalogue = catalogue
        self.calibration = calibration
    }

    /// The counter for a model by its name at the provider.
    public func counter(for model: String) -> TokenCounter {
        let facts = catalogue.facts(for: model)
        return TokenCounter(
            facts, estimator: facts?.encoding == nil ? calibration.estimator(for: model) : TokenEstimator())
    }

    /// Notes what an upstream reported for a request that `counter(for:)` had counted. Nothing is learned about models
    /// that are counted exactly.
    public func observe(_ model: String, _ count: RequestTokens, by counter: TokenCounter, reported: Int) {
        guard case .estimated(let estimator) = counter.method, estimator.factor > 0 else { return }
        calibration.observe(
            model, estimated: Int(Double(count.total.tokens) / estimator.factor), reported: reported)
    }
}
