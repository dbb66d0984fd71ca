/// What is known of a model. Everything but its name may be unknown.
public struct ModelFacts: Sendable, Hashable {
    /// The name that the catalogue has it under.
    public var name: String
    /// How its text is counted; nil where no public encoding is exact for it.
    public var encoding: TokenEncoding?
    /// How many tokens request and answer may have together.
    public var contextWindow: Int?
    /// How many tokens the answer may have.
    public var maxOutput: Int?
    /// What it costs.
    public var prices: TokenPrices?
    /// How it counts images; nil where that is unknown.
    public var images: ImageRule?
    /// Where the facts are from, and of which day (`2026-11-20`).
    public var source: String
    public var date: String

    public init(
        name: String, encoding: TokenEncoding? = nil, contextWindow: Int? = nil, maxOutput: Int? = nil,
        prices: TokenPrices? = nil, images: ImageRule? = nil, source: String = "", date: String = ""
    ) {
        self.name = name
        self.encoding = encoding
        self.contextWindow = contextWindow
        self.maxOutput = maxOutput
        self.prices = prices
        self.images = images
        self.source = source
        self.date = date
    }
}
