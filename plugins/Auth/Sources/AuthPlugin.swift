package import Persistence
import ServiceLifecycle
package import TurnpikeKit

/// Keys per user: authenticates every request, and keeps users and keys.
package final class AuthPlugin: Plugin {
    package static let factory = PluginFactory(id: "auth", stage: .authenticate, section: "auth") { setup in
        AuthPlugin(
            try AuthConfiguration(setup.configuration), database: setup[DatabaseKey.self], clock: setup[ClockKey.self])
    }

    package let middleware: (any Middleware)?
    package let migrations = AuthMigrations.all
    /// For whatever makes, lists and revokes keys.
    package let keyStore: KeyStore

    let verifier: KeyVerifier
    private let hashKeys: HashKeySource
    private let pollInterval: Duration

    init(_ configuration: AuthConfiguration, database: any Database, clock: GatewayClock) {
        hashKeys = configuration.hashKeys
        pollInterval = configuration.cache.pollInterval
        keyStore = KeyStore(database: database, hashKeys: hashKeys, clock: clock)
        verifier = KeyVerifier(
            KeyLookup(database: database, hashKeys: hashKeys), limits: configuration.cache, clock: clock)
        middleware = AuthMiddleware(verifier: verifier, clock: clock)
    }

    /// Polls for changes until the shutdown. Throws at once if there is no usable hash key.
    package func run() async throws {
        _ = try hashKeys.load()
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
