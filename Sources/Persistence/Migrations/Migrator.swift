public import Logging

/// Brings the tables of all components to the version that this program knows.
///
/// Several processes may start at once: one of them holds the lease row and works, the others wait for it. A schema
/// that is newer than the program is refused, because an old program would write rows that the new one misreads.
public struct Migrator: Sendable {
    private let migrations: [Migration]
    private let logger: Logger
    private let lease: MigrationLease

    /// - Parameter migrations: Of all components, in any order of components; within one numbered 1, 2, 3 …
    public init(_ migrations: [Migration], logger: Logger) {
        self.init(migrations, logger: logger, lease: MigrationLease())
    }

    package init(_ migrations: [Migration], logger: Logger, lease: MigrationLease) {
        for (component, list) in Dictionary(grouping: migrations, by: \.component) {
            precondition(
                list.map(\.number) == Array(1...list.count), "migrations of \(component) are numbered 1, 2, 3 …")
        }
        self.migrations = migrations
        self.logger = logger
        self.lease = lease
    }

    /// The migrations that are still to be applied. It changes nothing.
    ///
    /// - Throws: `DatabaseError` of class `refuse` if a component's schema is newer than this program.
    public func pending(on database: any Database) async throws -> [Migration] {
        try missing(in: await versions(on: database) ?? [:])
    }

    private func missing(in versions: [String: Int]) throws -> [Migration] {
        try refuseNewer(versions)
        return migrations.filter { $0.number > versions[$0.component, default: 0] }
    }

    /// The version of each component; nil where nothing was ever migrated. Nothing is written: what is asked of a database
    /// that takes nothing is answered.
    private func versions(on database: any Database) async throws -> [String: Int]? {
        do {
            return try await database.read { try SchemaTables.versions($0) }
        } catch let error as DatabaseError where error.failure == .refuse {
            guard try await database.read({ try SchemaTables.exist($0) }) else { return nil }
            // Another process may have made it meanwhile; if not, it is refused again.
            return try await database.read { try SchemaTables.versions($0) }
        }
    }

    /// Applies what is pending, or waits until another process has.
    ///
    /// - Returns: What this process applied.
    @discardableResult
    public func migrate(_ database: any Database) async throws -> [Migration] {
        if let versions = try await versions(on: database), try missing(in: versions).isEmpty { return [] }
        // A process that was killed may have made one of the two.
        try await SchemaTables.create(on: database)
        return try await lease.hold(on: database, noteWait: noteWait) { token in
            let open = try await pending(on: database)
            for migration in open {
                logger.info(
                    "A migration is applied.",
                    metadata: ["component": "\(migration.component)", "number": "\(migration.number)"])
                try await apply(migration, token, on: database)
            }
            return open
        }
    }

    private func noteWait() {
        logger.notice(
            "Another process migrates; this one waits for it.",
            metadata: ["at_most_if_it_has_died": "\(lease.duration.components.seconds) s"])
    }

    /// A migration may take longer than a lease lasts: while it runs, the lease is renewed. Where that fails the migration
    /// ends before its next statement: another process has begun with it.
    private func apply(_ migration: Migration, _ token: MigrationLease.Token, on database: any Database) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await token.keep(on: database) }
            defer { group.cancelAll() }
            try await change(migration, token, on: database)
        }
    }

    private func change(_ migration: Migration, _ token: MigrationLease.Token, on database: any Database) async throws {
        try await database.write(.patiently) { connection in
            try token.renew(connection)
            for statement in migration.statements(connection.dialect) {
                try connection.execute(SQL(raw: statement))
                try token.check()
            }
            try SchemaTables.record(migration, connection)
        }
    }

    private func refuseNewer(_ versions: [String: Int]) throws {
        let known = Dictionary(migrations.map { ($0.component, $0.number) }, uniquingKeysWith: max)
        for (component, version) in versions.sorted(by: { $0.key < $1.key }) {
            guard let newest = known[component], version > newest else { continue }
            throw DatabaseError(
                .refuse,
                "the schema of \(component) has version \(version), this program knows \(newest): use a newer one")
        }
    }
}
