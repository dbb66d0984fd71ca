package import Persistence
import ServiceLifecycle
package import TurnpikeKit

/// One row per exchange, refused, failed and abandoned ones too, and the endpoints that show a user their own.
package final class ActivityPlugin: Plugin {
    package static let factory = PluginFactory(id: "activity", stage: .observe) { setup in
        ActivityPlugin(database: setup[DatabaseKey.self], clock: setup[ClockKey.self])
    }

    package let middleware: (any Middleware)?
    package let routes: [Route]
    package let migrations = ActivityMigrations.all

    let recorder: ActivityRecorder

    init(database: any Database, clock: GatewayClock) {
        recorder = ActivityRecorder(database: database, clock: clock)
        middleware = ActivityMiddleware(recorder: recorder)
        routes = ActivityRoutes(log: ActivityLog(database: database), clock: clock).all
    }

    /// Waits for the shutdown, then for the rows that were taken.
    package func run() async throws {
        try? await gracefulShutdown()
        await recorder.drain()
    }
}
