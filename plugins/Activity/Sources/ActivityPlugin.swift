import Logging
package import Persistence
import ServiceLifecycle
package import TurnpikeKit

/// One row per exchange, refused, failed and abandoned ones too, and the endpoints that show a user their own.
package final class ActivityPlugin: Plugin {
    package static let factory = PluginFactory(id: "activity", stage: .observe, section: "activity") { setup in
        let plugin = ActivityPlugin(
            try ActivityConfiguration(setup.configuration), database: setup[DatabaseKey.self],
            clock: setup[ClockKey.self])
        plugin.recorder.register(in: setup.metrics)
        return plugin
    }

    package let middleware: (any Middleware)?
    package let routes: [Route]
    package let migrations = ActivityMigrations.all
    package var schemas: [RouteSchema] { ActivityDescriptions.schemas }

    let recorder: ActivityRecorder
    private let database: any Database
    private let retention: ActivityRetention

    init(
        _ configuration: ActivityConfiguration = ActivityConfiguration(), database: any Database, clock: GatewayClock
    ) {
        self.database = database
        retention = ActivityRetention(retention: configuration.retention)
        recorder = ActivityRecorder(database: database, clock: clock)
        middleware = ActivityMiddleware(recorder: recorder)
        routes = ActivityRoutes(log: ActivityLog(database: database), clock: clock).all
    }

    /// Removes old rows until the shutdown, then waits for the rows that were taken.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await self.retention.chore().run(on: self.database, logger: Logger(label: "turnpike.activity"))
        }
        await recorder.drain()
    }
}
