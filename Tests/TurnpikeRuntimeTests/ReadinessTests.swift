import Glibc
import Logging
import Persistence
import PersistenceSQLite
import ServiceLifecycle
import Testing
import TurnpikeRuntime
import TurnpikeTesting

@Suite struct ReadinessTests {
    @Test func isReadyOnceMigratedAndNotWhileTheDatabaseDoesNotAnswer() async throws {
        let fixture = SQLiteFixture()
        let database = try await fixture.open()
        let readiness = Readiness(waitingFor: [MigrationService.part])
        let service = MigrationService(
            database, migrations: [], readiness: readiness, logger: Logger(label: "t"), pause: .milliseconds(1))
        let group = ServiceGroup(configuration: .init(services: [service], logger: Logger(label: "t")))
        async let running: Void = group.run()

        while !readiness.missing.isEmpty { await Task.yield() }
        await database.close()
        while readiness.missing.isEmpty { await Task.yield() }

        await group.triggerGracefulShutdown()
        try await running
        #expect(readiness.missing == [.init("database", "the database is closed")])
    }

    @Test func triesAgainUntilTheDatabaseCanBeOpenedAndSaysWhyNotBefore() async throws {
        let fixture = SQLiteFixture()
        #expect(mkdir(fixture.path, 0o700) == 0, "a directory stands in the file's place")
        let database = SQLiteDatabase(openingOnUse: fixture.path, logger: Logger(label: "t"))
        let readiness = Readiness(waitingFor: [MigrationService.part])
        let service = MigrationService(
            database, migrations: [], readiness: readiness, logger: Logger(label: "t"), pause: .milliseconds(1))
        let group = ServiceGroup(configuration: .init(services: [service], logger: Logger(label: "t")))
        async let running: Void = group.run()
        while readiness.missing.first?.reason.contains("Is a directory") != true { await Task.yield() }

        rmdir(fixture.path)
        while !readiness.missing.isEmpty { await Task.yield() }

        await group.triggerGracefulShutdown()
        try await running
        await database.close()
    }

    @Test func endsWithASchemaThatIsNewerThanTheProgram() async throws {
        let fixture = SQLiteFixture()
        let database = try await fixture.open()
        let newer = [1, 2].map { Migration("fruit", $0, "n\($0)") { _ in [] } }
        let logger = Logger(label: "t") { _ in SwiftLogNoOpLogHandler() }
        try await Migrator(newer, logger: logger).migrate(database)
        let service = MigrationService(
            database, migrations: [newer[0]], readiness: Readiness(waitingFor: []), logger: logger)
        let error = await #expect(throws: DatabaseError.self) { try await service.run() }
        #expect(error?.reason == "the schema of fruit has version 2, this program knows 1: use a newer one")
        await database.close()
    }
}
