import Conversations
import Logging
import Persistence
import ServiceLifecycle
package import TurnpikeKit

/// Removes sessions that were deleted a while ago or have expired, in the background. It has no step in the chain.
package struct RetentionPlugin: Plugin {
    package static let factory = PluginFactory(id: "retention", stage: .observe, section: "sessions") { setup in
        RetentionPlugin(
            try RetentionConfiguration(setup.configuration), database: setup[DatabaseKey.self],
            store: setup[ConversationStoreKey.self])
    }

    private let configuration: RetentionConfiguration
    private let database: any Database
    private let store: ConversationStore

    init(_ configuration: RetentionConfiguration, database: any Database, store: ConversationStore) {
        self.configuration = configuration
        self.database = database
        self.store = store
    }

    package func run() async throws {
        let chore = SessionPurge.chore(configuration.limits, every: configuration.interval, store: store)
        await cancelWhenGracefulShutdown {
            await chore.run(on: database, logger: Logger(label: "turnpike.retention"))
        }
    }
}

/// What of the section `sessions` says how long sessions are kept.
struct RetentionConfiguration: Sendable, Equatable {
    var limits = SessionPurge.Limits()
    /// Between two rounds.
    var interval: Duration = .seconds(600)

    init(_ section: ConfigurationSection) throws {
        limits.purgeAfter = try section.duration("purge_after", default: limits.purgeAfter)
        if section.has("ttl") {
            let timeToLive = try section.duration("ttl", default: .zero)
            guard timeToLive > .zero else { throw section.error("ttl", "leave it out to keep sessions for ever") }
            guard timeToLive <= .seconds(SessionSettings.maximumTTL) else {
                throw section.error("ttl", "more than a hundred years")
            }
            limits.timeToLive = timeToLive
        }
        interval = try section.duration("purge_every", default: interval)
        guard interval >= .seconds(1) else { throw section.error("purge_every", "expected at least 1s") }
    }
}
