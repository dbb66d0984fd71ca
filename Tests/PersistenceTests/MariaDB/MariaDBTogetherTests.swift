import NIOCore
import Persistence
import PersistenceMariaDB
import Synchronization
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

    // MARK: Rows that are left out

    private static let doubling = "UPDATE numbers SET data = ? WHERE number = ?"

    private static func change(_ numbers: Range<Int>, to text: String, effect: BulkStatement.Effect) -> BulkWrite {
        let rows: [SQLValue] = numbers.flatMap { [.blob(ByteBuffer(string: text)), .integer(Int64($0))] }
        return BulkWrite(BulkStatement(doubling, effect: effect), rows: rows)
    }

    @Test(arguments: [true, false]) func aServerThatHasNotChangedEveryRowIsNotBelieved(sendsTogether: Bool) async throws
    {
        try await MariaDBFixture().with { database in
            try await database.createNumbers()
            for number in 0..<3 { try await database.insertNumber(number) }
            let last: SQLValue = .blob(ByteBuffer(repeating: 1, count: sendsTogether ? 1 : 2 << 20))
            let error = await #expect(throws: DatabaseError.self) {
                try await database.write { connection in
                    let write = Self.change(1..<3, to: "x", effect: .one)
                    let missing = BulkStatement(Self.doubling, effect: .one)
                    try connection.execute([write, BulkWrite(missing, rows: [last, .integer(9)])])
                }
            }
            #expect(error?.failure == .retryTransaction)
            #expect(try await database.number("SELECT COUNT(*) FROM numbers WHERE data = 'x'") == 0)
            try await database.write { try $0.execute([Self.change(1..<6, to: "x", effect: .any)]) }
            #expect(try await database.number("SELECT COUNT(*) FROM numbers WHERE data = 'x'") == 2)
        }
    }

    /// The server leaves a row out and says that all is well where it is told to stop between two of them: once in fifty
    /// transactions when it is told all the time.
    @Test(arguments: [BulkStatement.Effect.one, .any])
    func whatIsKilledBetweenItsRowsIsDoneWholeOrNotAtAll(_ effect: BulkStatement.Effect) async throws {
        try await MariaDBFixture().with { database in
            try await database.createNumbers()
            try await database.write { try $0.execute(Self.writes(0) + Self.writes(3)) }
            let (attempts, successes) = try await Self.changeWhileKilled(database, effect)
            #expect(successes > 0, "somebody gets through")
            #expect(attempts > successes, "somebody is killed")
        }
    }

    /// Changes all rows again and again while somebody tells the server to stop whatever the writer does.
    private static func changeWhileKilled(
        _ database: any Database, _ effect: BulkStatement.Effect
    ) async throws -> (attempts: Int, successes: Int) {
        let writer = Atomic(0)
        let isOver = Atomic(false)
        let killing = Task {
            while !isOver.load(ordering: .relaxed) {
                let id = writer.load(ordering: .relaxed)
                try? await database.read { _ = try $0.execute("KILL QUERY \(raw: String(id))") }
            }
        }
        let attempts = Attempts()
        var successes = 0
        do {
            defer { isOver.store(true, ordering: .relaxed) }
            for round in 0..<150 {
                let done: Void? = try? await database.write { connection in
                    _ = attempts.next()
                    writer.store(try connection.number("SELECT CONNECTION_ID()"), ordering: .relaxed)
                    try connection.execute([change(0..<6, to: String(round), effect: effect)])
                }
                if done != nil { successes += 1 }
                let text = ByteBuffer(string: String(round))
                let changed = try await database.number("SELECT COUNT(*) FROM numbers WHERE data = \(text)")
                #expect(changed == 6 || (changed == 0 && done == nil), "round \(round)")
            }
        }
        await killing.value
        return (attempts.count, successes)
    }
}
