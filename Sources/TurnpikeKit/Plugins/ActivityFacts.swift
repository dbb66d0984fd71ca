public import OpenAIWire
public import Persistence
public import Tokens

/// What the steps of the chain learned about an exchange, gathered for its activity row.
public struct ActivityFacts: Sendable, Equatable {
    public var sessionID: UniqueID?
    /// The model as the client named it.
    public var requestedModel: String?
    /// The provider that answered, and the model it was asked for.
    public var provider: String?
    public var model: String?
    /// The upstream's HTTP status.
    public var upstreamStatus: Int?
    public var isStreamed = false
    public var usage: Usage?
    /// What the model that answered costs, where that is known.
    public var prices: TokenPrices?
    /// How the captured turn ended: `complete`, `incomplete`, `cancelled`, `upstream_error`.
    public var captureStatus: String?
    /// What the header `x-turnpike-history` says: how much of the session went to the model, or in a shadow would have.
    public var history: String?
    /// The plugins that fail open, failed and were passed over, once for each failure.
    public var passedOver: [String] = []

    /// What the exchange cost in micro-dollars; nil where prices or usage are not known.
    public var cost: Int? {
        guard let prices, let usage else { return nil }
        return prices.cost(of: usage)
    }

    public init() {}
}
