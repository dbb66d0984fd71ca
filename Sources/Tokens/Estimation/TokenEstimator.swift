/// Estimates tokens where a model's encoding is not public, from how many bytes of which scripts a text has.
///
/// The weights are what the vocabularies of the larger open models need on average, rounded up; a factor per model,
/// learned from the counts that upstreams report (``TokenCalibration``), corrects them.
public struct TokenEstimator: Sendable, Hashable {
    /// What the estimate is multiplied by; 1 until something was reported.
    public var factor: Double
    /// How far reported counts have been from the corrected estimate, as a share of it.
    public var deviation: Double

    public init(factor: Double = 1, deviation: Double = TokenEstimator.unknownDeviation) {
        self.factor = factor
        self.deviation = deviation
    }

    /// For a model that nothing was reported of.
    public static let unknownDeviation = 0.25

    /// The estimate for `census`.
    public func count(_ census: ScriptCensus) -> TokenCount {
        let tokens = (census.weight * factor).rounded(.up)
        return TokenCount(Int(tokens), margin: Int((tokens * deviation).rounded(.up)))
    }
}
