public import Tokens

/// The upstream services that the configuration names.
public struct Providers: Sendable {
    /// In the order of the configuration.
    public let all: [Provider]
    /// Where requests without a model go.
    public let fallback: Provider?

    public init(_ all: [Provider], fallback: Provider?) {
        self.all = all
        self.fallback = fallback
    }

    public subscript(name: String) -> Provider? { all.first { $0.name == name } }
}

/// The configured upstream services.
public enum ProvidersKey: ResourceKey { public typealias Value = Providers }
/// How tokens are counted, and what is known of models: the shipped catalogue with what `model_catalogue` adds.
public enum TokenCountersKey: ResourceKey { public typealias Value = TokenCounters }
