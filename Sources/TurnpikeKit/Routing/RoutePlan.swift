public import Tokens

/// An upstream service: its address and credential, from the configuration only.
public struct Provider: Sendable {
    /// Its name in the configuration.
    public var name: String
    /// Without a trailing slash, such as `https://api.openai.com/v1`.
    public var baseURL: String
    /// Sent as a Bearer token; `nil` sends none.
    public var apiKey: Secret? { didSet { authorization = Self.authorization(apiKey) } }
    /// The value of the `Authorization` header that says so.
    package private(set) var authorization: Secret?
    /// Path prefixes of stateful endpoints that are forwarded although all users share the provider's account.
    public var passthrough: [String]
    /// Whether to ask for `include_usage` on behalf of clients that did not.
    public var asksForUsage: Bool
    /// Whether to send a `prompt_cache_key` of the session's where the client set none.
    public var takesPromptCacheKey: Bool
    /// What of its own reasoning a model gets back with the history, unless its target says otherwise.
    public var reasoning: ReasoningReplay
    public var connection: UpstreamConnection

    public init(
        name: String, baseURL: String, apiKey: Secret? = nil, passthrough: [String] = [], asksForUsage: Bool = false,
        takesPromptCacheKey: Bool = false, reasoning: ReasoningReplay = .keep, connection: UpstreamConnection = .init()
    ) {
        self.name = name
        self.baseURL = baseURL
        self.apiKey = apiKey
        authorization = Self.authorization(apiKey)
        self.passthrough = passthrough
        self.asksForUsage = asksForUsage
        self.takesPromptCacheKey = takesPromptCacheKey
        self.reasoning = reasoning
        self.connection = connection
    }

    private static func authorization(_ key: Secret?) -> Secret? { key.map { Secret("Bearer \($0.reveal())") } }
}

/// One place a request may go to.
///
/// One reference: every step of the chain takes the targets along, and a provider is a dozen values.
public struct RouteTarget: Sendable {
    /// What is the same for all models there.
    @usableFromInline final class Place: Sendable {
        @usableFromInline let provider: Provider
        @usableFromInline let reasoning: ReasoningReplay

        @usableFromInline init(_ provider: Provider, _ reasoning: ReasoningReplay) {
            self.provider = provider
            self.reasoning = reasoning
        }
    }

    @usableFromInline final class Storage: Sendable {
        @usableFromInline let place: Place
        @usableFromInline let model: String?
        @usableFromInline let facts: ModelFacts?

        @usableFromInline init(_ place: Place, _ model: String?, _ facts: ModelFacts?) {
            self.place = place
            self.model = model
            self.facts = facts
        }
    }

    @usableFromInline let storage: Storage

    @inlinable public var provider: Provider { storage.place.provider }
    /// The model's name at the provider; `nil` for a request without a model.
    @inlinable public var model: String? { storage.model }
    /// What the catalogue knows of that model: encoding, context window, prices.
    @inlinable public var facts: ModelFacts? { storage.facts }
    /// What of its own reasoning the model gets back with the history: its own setting, else its provider's.
    @inlinable public var reasoning: ReasoningReplay { storage.place.reasoning }

    /// Whether it is this very value, or a copy of it.
    package func isIdentical(to other: RouteTarget) -> Bool { storage === other.storage }

    /// - Parameter reasoning: `nil` where the provider's own setting holds.
    public init(provider: Provider, model: String?, facts: ModelFacts? = nil, reasoning: ReasoningReplay? = nil) {
        storage = Storage(Place(provider, reasoning ?? provider.reasoning), model, facts)
    }

    private init(_ storage: Storage) { self.storage = storage }

    /// The same place, asked for another model.
    package func asked(for model: String, facts: ModelFacts?) -> RouteTarget {
        RouteTarget(Storage(storage.place, model, facts))
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
