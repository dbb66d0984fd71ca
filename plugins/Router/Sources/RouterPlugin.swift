public import TurnpikeKit

/// Executes the route plan: sends the request upstream and streams the answer back.
public struct RouterPlugin: Plugin {
    /// Has no configuration of its own: providers say how they are to be reached.
    public static let factory = PluginFactory(id: "router", stage: .route) { setup in
        let router = RouterMiddleware(
            client: setup[UpstreamClientKey.self], bodyLimit: setup[BodyLimitKey.self],
            report: CalibrationReport(counters: setup[TokenCountersKey.self]),
            fallbacks: setup.inheritance.succeed("router") { $0 ?? FallbackCounts() })
        router.fallbacks.register(in: setup.metrics)
        return RouterPlugin(router)
    }

    public let middleware: (any Middleware)?

    init(_ middleware: RouterMiddleware) { self.middleware = middleware }
}
