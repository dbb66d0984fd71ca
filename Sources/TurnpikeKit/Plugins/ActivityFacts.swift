public import OpenAIWire
public import Persistence

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
    /// How the captured turn ended: `complete`, `incomplete`, `cancelled`, `upstream_error`.
    public var captureStatus: String?

    public init() {}
}

private enum ActivityFactsKey: ExchangeKey { typealias Value = ActivityFacts }

extension Exchange {
    /// What is known so far.
    public var facts: ActivityFacts { self[ActivityFactsKey.self] ?? ActivityFacts() }

    /// Adds to what is known. For the exchange's own steps, which run one after the other.
    public func note(_ change: (inout ActivityFacts) -> Void) {
        var facts = facts
        change(&facts)
        self[ActivityFactsKey.self] = facts
    }
}
