import Tokens
public import TurnpikeKit

/// Turns the model that a client names into a route plan, and answers which models there are.
public struct ModelsPlugin: Plugin {
    /// Reads `models` and the configured providers.
    public static let factory = PluginFactory(id: "models", stage: .resolve, section: "models") { setup in
        let providers = setup[ProvidersKey.self]
        let table = try ModelTable(
            setup.configuration, providers: providers, catalogue: setup[TokenCountersKey.self].catalogue)
        return ModelsPlugin(
            ModelsMiddleware(table: table, providers: providers, bodyLimit: setup[BodyLimitKey.self]))
    }

    public let middleware: (any Middleware)?
    public var endpoints: [DescribedEndpoint] { ModelDescriptions.endpoints }
    public var schemas: [RouteSchema] { ModelDescriptions.schemas }

    init(_ middleware: ModelsMiddleware) { self.middleware = middleware }
}
