package import Persistence
import ServiceLifecycle
package import TurnpikeKit

/// Keys per user: authenticates every request, and keeps users and keys.
package final class AuthPlugin: Plugin {
    package static let factory = PluginFactory(id: id, stage: .authenticate, section: id) { setup in
        let configuration = try AuthConfiguration(setup.configuration)
        let (database, clock) = (setup[DatabaseKey.self], setup[ClockKey.self])
        // A reload in an outage must not forget whom it may let in.
        let verifier = try setup.inheritance.succeed(id) { (former: KeyVerifier?) in
            if let former {
                try loadHashKeys(configuration, setup.configuration)
                if former.fits(configuration) { return former }
            }
            return KeyVerifier(configuration, database: database, clock: clock)
        }
        return AuthPlugin(configuration, database: database, clock: clock, verifier: verifier)
    }

    private static let id = "auth"

    /// For a reload: a file that cannot be used has to be found while the world before still stands, not by `run()`. A
    /// missing one is made here, too, because that may fail.
    private static func loadHashKeys(_ configuration: AuthConfiguration, _ section: ConfigurationSection) throws {
        do {
            _ = try configuration.hashKeys.load()
        } catch {
            throw section.error(section.names.contains("hash_key") ? "hash_key" : "hash_keys", "\(error)")
        }
    }

    package let middleware: (any Middleware)?
    package let migrations = AuthMigrations.all
    /// For whatever makes, lists and revokes keys.
    package let keyStore: KeyStore

    let verifier: KeyVerifier
    private let hashKeys: HashKeySource
    private let pollInterval: Duration

    init(_ configuration: AuthConfiguration, database: any Database, clock: GatewayClock, verifier: KeyVerifier) {
        hashKeys = configuration.hashKeys
        pollInterval = configuration.cache.pollInterval
        keyStore = KeyStore(database: database, hashKeys: hashKeys, clock: clock)
        self.verifier = verifier
        middleware = AuthMiddleware(verifier: verifier, clock: clock)
    }

    /// Polls for changes until the shutdown. Throws at once if there is no usable hash key, which ends the process: at
    /// the start only, since a reload has loaded them before.
    package func run() async throws {
        _ = try hashKeys.load()
        try verifier.loadHashKeys()
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                repeat {
                    if self.verifier.tick() { group.addTask { await self.verifier.poll() } }
                } while await self.pause()
            }
        }
    }

    /// False when it was cancelled.
    private func pause() async -> Bool {
        do {
            try await Task.sleep(for: pollInterval)
            return true
        } catch {
            return false
        }
    }
}
