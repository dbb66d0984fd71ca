package import Logging
package import Persistence
import ServiceLifecycle

/// Brings the schema up to date when the database first answers, opens the gate of `/readyz` then, and closes it while
/// the database does not answer.
///
/// Turnpike starts without a database: this tries again, after growing pauses, until it is there. A schema that is
/// newer than this release, or one that cannot be changed, ends the process, because serving would break the promise of
/// what is stored. What only keeps the database from answering (a missing directory, a wrong password) can be mended
/// while the process runs.
package struct MigrationService: Service {
    package static let part = "database"

    private let database: any Database
    private let migrator: Migrator
    private let readiness: Readiness
    private let logger: Logger
    private let pause: Duration
    private let patience: Duration
    private let arrival: @Sendable () async throws -> Void

    /// - Parameters:
    ///   - pause: Between two looks at a database that answers, and at most eight times between two attempts to reach one
    ///     that does not.
    ///   - patience: After how long one that says nothing is said not to answer.
    ///   - arrival: Is done with the tables there, before the database counts as ready.
    package init(
        _ database: any Database, migrations: [Migration], readiness: Readiness, logger: Logger,
        pause: Duration = .seconds(1), patience: Duration = .seconds(3),
        arrival: @escaping @Sendable () async throws -> Void = {}
    ) {
        self.database = database
        self.migrator = Migrator(migrations, logger: logger)
        self.readiness = readiness
        self.logger = logger
        self.pause = pause
        self.patience = patience
        self.arrival = arrival
        readiness.addReporter { [weak database] in Readiness.Report(Self.part, problems: database?.problems ?? []) }
    }

    package func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await migrate()
            await watch()
        }
    }

    // MARK: At the start

    private func migrate() async throws {
        var attempts = 0
        while !Task.isCancelled {
            do {
                try await look("SELECT 1")
                try await applied()
                try await arrival()
                return readiness.markReady(Self.part)
            } catch let error as Unusable {
                throw error.reason
            } catch {
                report(error)
                attempts += 1
                // An eighth of the pause, then twice as long each time, up to eight of them.
                try? await Task.sleep(for: pause / 8 * (1 << min(attempts - 1, 6)))
            }
        }
    }

    private func applied() async throws {
        do {
            _ = try await migrator.migrate(database)
        } catch let error as DatabaseError where error.failure == .refuse || error.failure == .data {
            throw Unusable(reason: error)
        }
    }

    private struct Unusable: Error { let reason: DatabaseError }

    // MARK: Afterwards

    /// Asks the database now and then whether it is there. What needs it finds out for itself; this is for operators.
    private func watch() async {
        while (try? await Task.sleep(for: pause)) != nil {
            do {
                try await look("SELECT version FROM schema_versions")
                if !readiness.missing.isEmpty { logger.notice("The database answers again.") }
                readiness.markReady(Self.part)
            } catch {
                report(error)
            }
        }
    }

    /// What comes of a database that says nothing for long is known only when the connection is given up, and then it says
    /// that the connection was lost: this says what is the matter, and says it at once.
    private func look(_ query: SQL) async throws {
        let begin = ContinuousClock.now
        let hint = Task {
            try await Task.sleep(for: patience)
            report(Self.silence)
        }
        defer { hint.cancel() }
        do {
            _ = try await database.read(.patiently) { try $0.first(query) { try $0.integer(0) } }
        } catch let error as DatabaseError where error.failure != .refuse && ContinuousClock.now - begin >= patience {
            throw Self.silence
        }
    }

    private static let silence = DatabaseError(.unavailable, "the server does not answer in time")

    /// Once per reason: an outage must not flood the log.
    private func report(_ error: any Error) {
        guard !Task.isCancelled else { return }
        let error = error as? DatabaseError
        let reason = error?.diagnosis ?? "it does not answer"
        guard !readiness.missing.contains(.init(Self.part, reason)) else { return }
        readiness.markMissing(Self.part, because: reason)
        logger.warning(
            "The database cannot be used; trying again until it can.",
            metadata: ["error": "\(error?.debugDescription ?? reason)"])
    }
}

/// Closes the database after everything that writes to it has ended.
///
/// One that does not answer is left as it is after a moment, a slow one after a few seconds: by then what was promised is in
/// the spool, and nobody waits for anything else.
package struct DatabaseService: Service {
    private let database: any Database
    private let logger: Logger
    private let patience: Duration

    /// - Parameter patience: for how long what was handed over may take.
    package init(_ database: any Database, logger: Logger, patience: Duration = .seconds(3)) {
        self.database = database
        self.logger = logger
        self.patience = patience
    }

    package func run() async throws {
        try? await gracefulShutdown()
        let isClosed = await database.threads.waitAtEnd(patience) { [database] in await database.close() }
        if !isClosed { logger.warning("The database does not answer; the process ends without closing it.") }
    }
}
