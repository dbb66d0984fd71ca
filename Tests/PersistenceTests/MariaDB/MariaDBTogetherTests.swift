import NIOCore
import Persistence
import PersistenceMariaDB
import Testing
import TurnpikeTesting

/// Statements whose answers are awaited together, where something comes in between.
@Suite("MariaDB: statements that go together", .timeLimit(.minutes(2)))
struct MariaDBTogetherTests {
    private static let insertion = BulkStatement(insertInto: "numbers", ["number", "data"])
    private static let update = BulkStatement("UPDATE numbers SET data = ? WHERE number = ?")

    private static func writes(_ first: Int) -> [BulkWrite] {
        let numbers = first..<first + 3
        return [
            BulkWrite(insertion, rows: numbers.flatMap { [.integer(Int64($0)), .null] }),
            BulkWrite(update, rows: numbers.flatMap { [.blob(ByteBuffer(string: "x")), .integer(Int64($0))] }),
        ]
    }

    @Test func theyGoOnAfterTheTableHasChanged() async throws {
        try await MariaDBFixture().with { database in
            try await database.createNumbers()
            try await database.write { try $0.execute(Self.writes(0)) }
            try await database.write { _ = try $0.execute("ALTER TABLE numbers ADD COLUMN more BIGINT NULL") }
            try await database.write { try $0.execute(Self.writes(3)) }
            #expect(try await database.number("SELECT COUNT(*) FROM numbers WHERE data = 'x'") == 6)
        }
    }

    @Test func aConnectionThatIsKilledBeforeThemIsReplaced() async throws {
        try await MariaDBFixture().with { database in
            try await database.createNumbers()
            try await database.write { try $0.execute(Self.writes(0)) }
            let id = try await database.numberOfWriter("SELECT CONNECTION_ID()")
            try await database.read { _ = try $0.execute("KILL \(raw: String(id))") }
            try await database.write { try $0.execute(Self.writes(3)) }
            #expect(try await database.number("SELECT COUNT(*) FROM numbers WHERE data = 'x'") == 6)
        }
    }

    @Test func aTransactionOfWhichOneFailedIsNotCommittedBySomebodyWhoSwallowsTheError() async throws {
        try await MariaDBFixture().with { database in
            try await database.createNumbers()
            try await database.insertNumber(1)
            let error = await #expect(throws: DatabaseError.self) {
                try await database.write { try? $0.execute(Self.writes(0)) }
            }
            #expect(error?.failure == .data)
            #expect(try await database.countNumbers() == 1)
        }
    }
}
