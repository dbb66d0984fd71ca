import Conversations
public import Persistence
public import TurnpikeKit

/// Finds or makes the session that a chat request belongs to, and answers the sessions API in all its dialects.
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
    public var schemas: [RouteSchema] { SessionSchemas.all + BranchDescriptions.schemas }

    init(store: ConversationStore, configuration: SessionConfiguration, bodyLimit: Int) {
        middleware = SessionMiddleware(store: store, configuration: configuration, bodyLimit: bodyLimit)
        let own =
            SessionRoutes(store: store, configuration: configuration, bodyLimit: bodyLimit).all
            + BranchRoutes(store: store, configuration: configuration).all
            + FeedbackRoutes(store: store, configuration: configuration, bodyLimit: bodyLimit).all
            + SearchRoutes(store: store, configuration: configuration, bodyLimit: bodyLimit).all
            + TransferRoutes(store: store, configuration: configuration, bodyLimit: bodyLimit).all
        let dialects: [any SessionDialect] = [ChatSessionsDialect(), NamedSessionsDialect()]
        routes =
            own + dialects.flatMap { DialectRoutes(store, configuration, bodyLimit: bodyLimit, $0).all }
            + HistoryDialect(store: store, configuration: configuration).all
    }
}
