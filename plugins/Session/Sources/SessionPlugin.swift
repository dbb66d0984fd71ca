import Conversations
public import Persistence
public import TurnpikeKit

/// Finds or makes the session that a chat request belongs to, and answers the sessions API.
public struct SessionPlugin: Plugin {
    /// Reads `plugins.session`.
    public static let factory = PluginFactory(id: "session", stage: .resolve) { setup in
        SessionPlugin(
            store: setup[ConversationStoreKey.self], configuration: try SessionConfiguration(setup.configuration),
            bodyLimit: setup[BodyLimitKey.self])
    }

    public let middleware: (any Middleware)?
    public let routes: [Route]
    /// The tables of all conversations.
    public var migrations: [Migration] { ConversationStore.migrations }

    init(store: ConversationStore, configuration: SessionConfiguration, bodyLimit: Int) {
        middleware = SessionMiddleware(store: store, configuration: configuration, bodyLimit: bodyLimit)
        routes = SessionRoutes(store: store, bodyLimit: bodyLimit).all
    }
}
