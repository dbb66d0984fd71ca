package import Logging
package import Persistence
import ServiceLifecycle

/// Brings the schema up to date when the database first answers, opens the gate of `/readyz` then, and closes it while
/// the database does not answer.
///
/// Turnpike starts without a database: this tries again until it is there. A schema that is newer than this release, or
/// one that cannot be changed, ends the process, because serving would break the promise of what is stored.
package struct MigrationService: Service {
    package static let part = "database"

    private let database: any Database
    private let migrator: Migrator
    private let readiness: Readiness
    private let logger: Logger
    private let pause: Duration

    package init(
        _ database: any Database, migrations: [Migration], readiness: Readiness, logger: Logger,
        pause: Duration = .seconds(1)
    ) {
        self.database = database
        self.migrator = Migrator(migrations, logger: logger)
        self.readiness = readiness
        self.logger = logger
        self.pause = pause
    }

    package func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await migrate()
            await watch()
        }
    }

    /// Asks the database now and then whether it is there. What needs it finds out for itself; this is for operators.
    private func watch() async {
        while (try? await Task.sleep(for: pause)) != nil {
            let answers = (try? await database.read { try $0.first("SELECT 1") { try $0.integer(0) } }) != nil
            if answers { readiness.markReady(Self.part) } else { readiness.markMissing(Self.part) }
        }
    }

    private func migrate() async throws {
        var isFirstFailure = true
        while !Task.isCancelled {
            do {
                _ = try await migrator.migrate(database)
                return readiness.markReady(Self.part)
            } catch let error as DatabaseError where error.failure == .refuse || error.failure == .data {
                throw error
            } catch {
                if isFirstFailure {
                    logger.warning(
                        "The database does not answer; trying again until it does.",
                        metadata: ["error": "\(String(reflecting: error))"])
                }
                isFirstFailure = false
                try? await Task.sleep(for: pause)
            }
        }
    }
}

/// Closes the database after everything that writes to it has ended.
package struct DatabaseService: Service {
    private let database: any Database

    package init(_ database: any Database) { self.database = database }

    package func run() async throws {
        try? await gracefulShutdown()
        await database.close()
    }
}
