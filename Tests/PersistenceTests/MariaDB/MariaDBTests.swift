import Persistence
import PersistenceMariaDB
import Testing
import TurnpikeTesting

@Suite("MariaDB", .serialized) struct MariaDBTests {
    @Test(arguments: ConformanceCase.databases)
    func keepsThePromise(_ promise: ConformanceCase) async throws {
        try await promise.verify(on: MariaDBFixture())
    }
}
