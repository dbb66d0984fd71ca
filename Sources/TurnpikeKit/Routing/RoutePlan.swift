public import Tokens

/// An upstream service: its address and credential, from the configuration only.
public struct Provider: Sendable {
    /// Its name in the configuration.
    public var name: String
    /// Without a trailing slash, such as `https://api.openai.com/v1`.
    public var baseURL: String
    /// Sent as a Bearer token; `nil` sends none.
    public var apiKey: Secret?
    /// Path prefixes of stateful endpoints that are forwarded although all users share the provider's account.
    public var passthrough: [String]
    /// Whether to ask for `include_usage` on behalf of clients that did not.
    public var asksForUsage: Bool
    /// Whether to send a `prompt_cache_key` of the session's where the client set none.
    public var takesPromptCacheKey: Bool
    /// What of its own reasoning a model gets back with the history.
    public var reasoning: ReasoningReplay
    public var connection: UpstreamConnection

    public init(
        name: String, baseURL: String, apiKey: Secret? = nil, passthrough: [String] = [], asksForUsage: Bool = false,
        takesPromptCacheKey: Bool = false, reasoning: ReasoningReplay = .keep, connection: UpstreamConnection = .init()
    ) {
        self.name = name
        self.baseURL = baseURL
        self.apiKey = apiKey
        self.passthrough = passthrough
        self.asksForUsage = asksForUsage
        self.takesPromptCacheKey = takesPromptCacheKey
        self.reasoning = reasoning
        self.connection = connection
    }
}

/// One place a request may go to.
public struct RouteTarget: Sendable {
    public var provider: Provider
    /// The model's name at the provider; `nil` for a request without a model.
    public var model: String?
    /// What the catalogue knows of that model: encoding, context window, prices.
    public var facts: ModelFacts?

    public init(provider: Provider, model: String?, facts: ModelFacts? = nil) {
        self.provider = provider
        self.model = model
        self.facts = facts
    }
}

/// The ordered targets that a request may go to.
public struct RoutePlan: Sendable {
    /// The model that the client named.
    public var requestedModel: String?
    /// Never empty; the first one is tried first.
    public var targets: [RouteTarget]

    public init(requestedModel: String?, targets: [RouteTarget]) {
        precondition(!targets.isEmpty, "A route plan has at least one target.")
        self.requestedModel = requestedModel
        self.targets = targets
    }
}

/// Left by `models`; read by `history` and `router`.
public enum RoutePlanKey: ExchangeKey { public typealias Value = RoutePlan }
