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
            try readHashKeys(configuration, setup.configuration, replacing: former)
            if let former, former.fits(configuration) { return former }
            return KeyVerifier(configuration, database: database, clock: clock)
        }
        return AuthPlugin(configuration, database: database, clock: clock, verifier: verifier)
    }

    private static let id = "auth"

    /// A file that cannot be used is found by `turnpike check`, and by a reload while the world before still stands. That of
    /// the current key may be missing at the start only: what `run()` does then.
    private static func readHashKeys(
        _ configuration: AuthConfiguration, _ section: ConfigurationSection, replacing former: KeyVerifier?
    ) throws {
        do {
            let keys = try configuration.hashKeys.loadUnlessMissing()
            guard keys == nil, former?.hasHashKeys == true else { return }
            throw configuration.hashKeys.missing("put it back, since keys are stored under it; a reload makes none")
        } catch {
            throw section.error(section.names.contains("hash_key") ? "hash_key" : "hash_keys", "\(error)")
        }
    }

    package let middleware: (any Middleware)?
    package let migrations = AuthMigrations.all
    /// For whatever makes, lists and revokes keys.
    package let keyStore: KeyStore

    let verifier: KeyVerifier
    private let pollInterval: Duration

    init(_ configuration: AuthConfiguration, database: any Database, clock: GatewayClock, verifier: KeyVerifier) {
        pollInterval = configuration.cache.pollInterval
        keyStore = KeyStore(database: database, hashKeys: configuration.hashKeys, clock: clock)
        self.verifier = verifier
        middleware = AuthMiddleware(verifier: verifier, clock: clock)
    }

    /// Polls for changes until the shutdown. Throws if there is no usable hash key, which ends the process: at the start
    /// only, since a reload has loaded them before.
    package func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await self.loadHashKeys()
            await withDiscardingTaskGroup { group in
                repeat {
                    if self.verifier.tick() { group.addTask { await self.verifier.poll() } }
                } while await self.pause(self.pollInterval)
            }
        }
    }

    /// Without a file only the database can tell whether one may be made, and it may come later than the process: until
    /// then requests get 503. Nobody is kept out by that, because a key needs a hash key to be made with.
    private func loadHashKeys() async throws {
        repeat {
            do {
                _ = try await keyStore.loadHashKeys()
                return try verifier.loadHashKeys()
            } catch is DatabaseError {}
        } while await pause(pollInterval / 8)
    }

    /// False when it was cancelled.
    private func pause(_ duration: Duration) async -> Bool {
        do {
            try await Task.sleep(for: duration)
            return true
        } catch {
            return false
        }
    }
}
