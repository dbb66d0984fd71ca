import Logging
package import Persistence
import ServiceLifecycle
package import TurnpikeKit

/// One row per exchange, refused, failed and abandoned ones too, and the endpoints that show a user their own.
package final class ActivityPlugin: Plugin {
    package static let factory = PluginFactory(id: id, stage: .observe, section: id) { setup in
        let configuration = try ActivityConfiguration(
            setup.configuration, in: setup.find(StateDirectoryKey.self) ?? "data",
            besideSpool: setup.find(SpoolDirectoryKey.self))
        let (database, clock) = (setup[DatabaseKey.self], setup[ClockKey.self])
        // One process, one spool: a reload goes on with what the world before has opened.
        let recorder = setup.inheritance.succeed(id) { (former: ActivityRecorder?) in
            if let former, former.spool?.settings == configuration.spool { return former }
            return ActivityRecorder(database: database, clock: clock, spool: configuration.spool)
        }
        let plugin = ActivityPlugin(configuration, database: database, clock: clock, recorder: recorder)
        plugin.recorder.register(in: setup.metrics)
        return plugin
    }

    private static let id = "activity"

    package let middleware: (any Middleware)?
    package let routes: [Route]
    package let migrations = ActivityMigrations.all
    package var schemas: [RouteSchema] { ActivityDescriptions.schemas }

    let recorder: ActivityRecorder
    private let database: any Database
    private let retention: ActivityRetention

    init(
        _ configuration: ActivityConfiguration = ActivityConfiguration(), database: any Database, clock: GatewayClock,
        recorder: ActivityRecorder? = nil
    ) {
        let recorder = recorder ?? ActivityRecorder(database: database, clock: clock)
        self.database = database
        retention = ActivityRetention(retention: configuration.retention)
        self.recorder = recorder
        middleware = ActivityMiddleware(recorder: recorder)
        routes = ActivityRoutes(log: ActivityLog(database: database), clock: clock).all
    }

    /// Removes old rows and stores spooled ones until the shutdown, then waits for the rows that were taken.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask {
                    await self.retention.chore().run(on: self.database, logger: Logger(label: "turnpike.activity"))
                }
                group.addTask { await self.recorder.tendSpool() }
                group.addTask {
                    while (try? await Task.sleep(for: .seconds(1))) != nil { self.recorder.writeGathered() }
                }
            }
        }
        await recorder.drain()
    }
}
