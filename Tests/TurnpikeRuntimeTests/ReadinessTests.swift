import Logging
import Persistence
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

        while !readiness.missingParts.isEmpty { await Task.yield() }
        await database.close()
        while readiness.missingParts != ["database"] { await Task.yield() }

        await group.triggerGracefulShutdown()
        try await running
        #expect(readiness.missingParts == ["database"])
    }
}
