package import Logging
import ServiceLifecycle
import TurnpikeKit

/// Runs the plugins of the current world, and replaces the world when the configuration changes.
///
/// A new world is built completely before it takes over; one that cannot be built leaves the old one running and says
/// why. The old world's plugins are shut down when its last exchange is over, which is when the world itself goes.
package final class WorldKeeper: Service {
    private let gateway: Gateway
    /// What is in effect of that which outlives worlds.
    private let beginning: GatewayConfiguration
    private let changes: AsyncStream<Void>
    private let build: @Sendable (World) throws -> World
    private let logger: Logger

    /// `changes` yields whenever the configuration may have changed; `build` reads it and makes a world of
    /// it, which replaces the one that it is given.
    package init(
        _ gateway: Gateway, changes: AsyncStream<Void>, logger: Logger,
        build: @escaping @Sendable (World) throws -> World
    ) {
        self.gateway = gateway
        beginning = gateway.world.configuration
        self.changes = changes
        self.build = build
        self.logger = logger
    }

    private enum Event {
        case configurationChanged
        case pluginFailed(any Error)
    }

    package func run() async throws {
        let (events, report) = AsyncStream.makeStream(of: Event.self)
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { [changes] in
                for await _ in changes.cancelOnGracefulShutdown() { report.yield(.configurationChanged) }
            }
            var current = start(gateway.world, in: &group, report)
            for await event in events.cancelOnGracefulShutdown() {
                switch event {
                case .pluginFailed(let error): throw error
                case .configurationChanged:
                    guard let next = rebuilt() else { continue }
                    current = start(next, in: &group, report)
                    gateway.replaceWorld(with: next)
                    logger.notice("The configuration was reloaded.")
                }
            }
            // The last exchanges have ended before this service is asked to stop.
            await current.triggerGracefulShutdown()
        }
    }

    /// Starts the plugins of a world; they end with it. One that fails is reported: a child's error alone would not
    /// wake the loop that waits for changes.
    private func start(
        _ world: World, in group: inout ThrowingDiscardingTaskGroup<any Error>,
        _ report: AsyncStream<Event>.Continuation
    ) -> ServiceGroup {
        let plugins = ServiceGroup(configuration: .init(services: world.plugins.map(\.plugin), logger: logger))
        world.whenGone { Task { await plugins.triggerGracefulShutdown() } }
        group.addTask {
            do {
                try await plugins.run()
            } catch {
                report.yield(.pluginFailed(error))
            }
        }
        return plugins
    }

    private func rebuilt() -> World? {
        do {
            let world = try build(gateway.world)
            for key in world.configuration.needingRestart(since: beginning) {
                logger.warning("This change needs a restart to take effect.", metadata: ["key": "\(key)"])
            }
            return world
        } catch {
            logger.error(
                "The configuration cannot be used; the one before it stays.", metadata: ["error": "\(error)"])
            return nil
        }
    }
}

extension GatewayConfiguration {
    /// What differs from `beginning`, with which the process began, and outlives a world: listeners and their limits, the
    /// database, the log.
    package func needingRestart(since beginning: GatewayConfiguration) -> [String] {
        var keys: [String] = []
        if server != beginning.server { keys.append("server") }
        if database != beginning.database { keys.append("database") }
        if spool != beginning.spool { keys.append("spool") }
        if sessionCache != beginning.sessionCache { keys.append("session_cache") }
        if log != beginning.log { keys.append("log") }
        return keys
    }
}
