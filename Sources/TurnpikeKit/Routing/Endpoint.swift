/// Which kind of endpoint a request that is not Turnpike's own goes to. Decided from method and path.
public enum Endpoint: Sendable, Equatable {
    /// `POST /v1/chat/completions`: the one that sessions and history work on.
    case chatCompletions
    /// `/v1/models` and `/v1/models/{id}`; the id is decoded.
    case models(id: String?)
    /// A JSON endpoint without state, such as embeddings: forwarded by the model in its body.
    case json
    /// An endpoint whose body no plugin reads, such as audio: streamed both ways.
    case streamed
    /// State in the provider's account, which all users share: only where a provider lists it under `passthrough`.
    case stateful
    /// A path below `/v1` that nobody knows: only where a provider passes everything through.
    case unknown
}

/// Left by the dispatcher; present from stage `resolve` on.
public enum EndpointKey: ExchangeKey { public typealias Value = Endpoint }
