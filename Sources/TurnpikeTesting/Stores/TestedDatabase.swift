import Persistence

/// The back ends that a test of storage runs on, as an argument of the test:
///
///     @Test(arguments: TestedDatabase.allCases) func keepsIt(_ tested: TestedDatabase) async throws {
///         try await tested.fixture().with { database in … }
///     }
public enum TestedDatabase: String, Sendable, CaseIterable {
    case sqlite
    case mariadb

    /// An empty database.
    public func fixture() -> any DatabaseFixture {
        switch self {
        case .sqlite: SQLiteFixture()
        case .mariadb: MariaDBFixture()
        }
    }

}
