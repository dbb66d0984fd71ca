import Conversations
public import TurnpikeKit

/// Puts a session's history in front of the messages of a request.
public struct HistoryPlugin: Plugin {
    /// Reads `plugins.history`.
    public static let factory = PluginFactory(id: "history", stage: .history) { setup in
        HistoryPlugin(
            HistoryMiddleware(
                planner: ExchangePlanner(setup[ConversationStoreKey.self], models: setup[TargetModelsKey.self]),
                configuration: try HistoryConfiguration(setup.configuration), bodyLimit: setup[BodyLimitKey.self]))
    }

    public let middleware: (any Middleware)?

    init(_ middleware: HistoryMiddleware) { self.middleware = middleware }
}
