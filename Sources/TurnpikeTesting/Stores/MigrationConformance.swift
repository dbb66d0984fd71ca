import Logging
import Persistence
import Synchronization

/// Migrations: once, by one process, never backwards.
enum MigrationConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("migrations are applied once, in order", once),
            ConformanceCase("later migrations find the data of earlier versions", upgrade),
            ConformanceCase("two processes migrate at once and each step is done once", concurrent),
            ConformanceCase("a newer schema is refused", newer),
            ConformanceCase("a migration that fails can be done again", failing),
            ConformanceCase("a dead process's lease expires", expiredLease),
            ConformanceCase("whoever has lost the lease while it migrates does not go on", lostLease),
            ConformanceCase("a lease that cannot be renewed for as long as it lasts is lost", unrenewedLease),
        ]
    }

    private static func list(upTo count: Int) -> [Migration] {
        let all = [
            Migration("fruit", 1, "fruits") { type in
                [
                    "CREATE TABLE IF NOT EXISTS fruits (name \(type.text(50)) NOT NULL PRIMARY KEY) \(type.clustered)",
                    "INSERT INTO fruits (name) VALUES ('apple') \(type.orIgnore("name"))",
                ]
            },
            Migration("fruit", 2, "baskets") { type in
                ["CREATE TABLE IF NOT EXISTS baskets (basket_id \(type.id) NOT NULL PRIMARY KEY) \(type.clustered)"]
            },
            Migration("fruit", 3, "pears") { type in
                ["INSERT INTO fruits (name) VALUES ('pear') \(type.orIgnore("name"))"]
            },
        ]
        return Array(all.prefix(count))
    }

    private static let other = Migration("tools", 1, "tools") { type in
        ["CREATE TABLE IF NOT EXISTS tools (name \(type.text(50)) NOT NULL PRIMARY KEY) \(type.clustered)"]
    }

    static let logger = Logger(label: "conformance") { _ in SwiftLogNoOpLogHandler() }

    private static func migrator(_ migrations: [Migration], _ lease: MigrationLease = MigrationLease()) -> Migrator {
        Migrator(migrations, logger: logger, lease: lease)
    }

    private static func fruits(_ database: any Database) async throws -> [String] {
        try await database.read { try $0.rows("SELECT name FROM fruits ORDER BY name") { try $0.text(0) } }
    }

    @Sendable private static func once(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            let migrator = migrator(list(upTo: 3) + [other])
            try expectEqual(try await migrator.pending(on: database).count, 4, "before")
            try await expectFailure([.refuse], "asking what is pending makes no table") {
                _ = try await database.read { try $0.first("SELECT 1 FROM schema_versions") { try $0.integer(0) } }
            }
            try expectEqual(
                try await migrator.migrate(database).map(\.name), ["fruits", "baskets", "pears", "tools"], "applied")
            try expectEqual(try await migrator.migrate(database).count, 0, "the second time")
            try expectEqual(try await fruits(database), ["apple", "pear"], "the rows")
        }
    }

    @Sendable private static func upgrade(_ fixture: any DatabaseFixture) async throws {
        for version in 1...3 {
            try await fixture.with { database in
                let applied = try await migrator(list(upTo: version)).migrate(database)
                try expectEqual(applied.map(\.number), [version], "applied by version \(version)")
            }
        }
        try await fixture.with { try expectEqual(try await fruits($0), ["apple", "pear"], "the rows") }
    }

    @Sendable private static func concurrent(_ fixture: any DatabaseFixture) async throws {
        let databases = [try await fixture.open(), try await fixture.open()]
        let lease = MigrationLease(poll: .zero, wait: { _ in await Task.yield() })
        let applied = try await withThrowingTaskGroup(of: [Int].self) { group in
            for index in 0..<8 {
                group.addTask { try await migrator(list(upTo: 3), lease).migrate(databases[index % 2]).map(\.number) }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        for database in databases { await database.close() }
        try expectEqual(applied.sorted(), [1, 2, 3], "applied by all of them")
    }

    @Sendable private static func newer(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await migrator(list(upTo: 3)).migrate(database)
            try await expectFailure([.refuse], "an older program") {
                try await migrator(list(upTo: 2)).migrate(database)
            }
            try expectEqual(try await migrator([other]).migrate(database).count, 1, "a program without that component")
        }
    }

    @Sendable private static func failing(_ fixture: any DatabaseFixture) async throws {
        let broken = Migration("fruit", 2, "broken") { _ in ["CREATE TABLE IF NOT EXISTS half (a INTEGER)", "NOT SQL"] }
        try await fixture.with { database in
            try await expectFailure([.refuse], "a broken migration") {
                try await migrator(list(upTo: 1) + [broken]).migrate(database)
            }
            try expectEqual(try await migrator(list(upTo: 3)).migrate(database).map(\.number), [2, 3], "the rest")
        }
    }

    @Sendable private static func expiredLease(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            let clock = Mutex(Timestamp(microseconds: 1_000_000))
            let lease = MigrationLease(
                duration: .seconds(60), clock: { _ in clock.withLock { $0 } },
                wait: { _ in clock.withLock { $0 = $0.advanced(by: .seconds(10)) } })
            try await SchemaTables.create(on: database)
            try await database.write { connection in
                _ = try connection.execute(
                    "UPDATE schema_lease SET holder = \(UniqueID.generate()), expires_us = 61000000")
            }
            try expectEqual(try await migrator(list(upTo: 3), lease).migrate(database).count, 3, "after it expired")
            try expect(clock.withLock { $0 }.microseconds > 61_000_000, "not before it expired")
        }
    }

    /// What `keep` does with a lease when its rests end at once, `times` times.
    private static func keep(
        _ token: MigrationLease.Token, _ times: Int, on database: any Database,
        before: @Sendable () -> Void = {}
    ) async {
        let rests = Mutex(times)
        await token.keep(on: database) { _ in
            before()
            let isOver = rests.withLock { rests in
                rests -= 1
                return rests < 0
            }
            if isOver { throw CancellationError() }
        }
    }

    @Sendable private static func lostLease(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await SchemaTables.create(on: database)
            try await MigrationLease().hold(on: database) { token in
                await keep(token, 3, on: database)
                try token.check()
                try await database.write { connection in
                    _ = try connection.execute("UPDATE schema_lease SET holder = \(UniqueID.generate())")
                }
                await keep(token, 3, on: database)
                try await expectFailure([.refuse], "a statement of whoever has lost it") { try token.check() }
            }
        }
    }

    @Sendable private static func unrenewedLease(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await SchemaTables.create(on: database)
            try await MigrationLease().hold(on: database) { token in
                let faulty = FaultyDatabase(database)
                for (failures, isLost) in [(2, false), (3, true)] {
                    await keep(token, failures, on: faulty) { faulty.fail(atStep: 0, with: .unavailable) }
                    try expectEqual((try? token.check()) == nil, isLost, "lost after \(failures) failures")
                }
            }
        }
    }
}
