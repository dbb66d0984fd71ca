import Persistence
import Testing
import TurnpikeTesting

@testable import PersistenceMariaDB

/// What writes many rows, as it does where libmariadb is older than 3.3 and each row is a statement of its own.
@Suite("MariaDB: row by row", .serialized) struct RowByRowTests {
    private struct Fixture: DatabaseFixture {
        let base = MariaDBFixture()

        func open() async throws -> any Database {
            MariaDBDatabase(try await base.address(), logger: silence, sendsRowsTogether: false)
        }
    }

    private static let sentences: Set = [
        "a bulk statement writes every row", "writes that go together are all done, in order",
        "a write that is refused fails those that go together with it",
        "a turn comes back as it went, and the session has counted it",
        "64 turns of one session at once are stored unbroken, without gaps",
        "a turn supersedes what its base contained", "bodies of 32 MB are stored as they came",
        "a fault at any step leaves a whole turn or none",
    ]
    private static let promises = (ConformanceCase.databases + ConformanceCase.conversations).filter {
        sentences.contains($0.description)
    }

    @Test(arguments: promises)
    func keepsThePromise(_ promise: ConformanceCase) async throws {
        try await promise.verify(on: Fixture())
    }

    @Test func allOfThemAreThere() { #expect(Self.promises.count == Self.sentences.count) }

    @Test func noRowSharesAChunk() {
        let rows = BulkRows(width: 1, [.integer(1), .integer(2)])
        for chunk in RowChunks(rows, limit: 1 << 20, together: false) {
            guard case .alone = chunk else {
                Issue.record("\(chunk)")
                continue
            }
        }
    }
}
