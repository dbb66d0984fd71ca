import Conversations
public import TurnpikeKit

/// Stores every answer of a session before its client sees the end of it.
public struct CapturePlugin: Plugin {
    /// Reads `plugins.capture`.
    public static let factory = PluginFactory(id: "capture", stage: .capture) { setup in
        let store = setup[ConversationStoreKey.self]
        return CapturePlugin(
            CaptureMiddleware(
                planner: ExchangePlanner(store), store: store,
                configuration: try CaptureConfiguration(setup.configuration), bodyLimit: setup[BodyLimitKey.self]))
    }

    public let middleware: (any Middleware)?

    init(_ middleware: CaptureMiddleware) { self.middleware = middleware }
}
