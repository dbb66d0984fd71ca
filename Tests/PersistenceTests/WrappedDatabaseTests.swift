import Persistence
import Synchronization
import Testing

@testable import TurnpikeTesting

/// What wraps a database for tests leaves the way in which its statements are run to it: else that way is never tested.
@Suite struct WrappedDatabaseTests {
    private static var writes: [BulkWrite] {
        (0..<3).map { BulkWrite(BulkStatement(insertInto: "fruits", ["number"]), rows: [.integer($0)]) }
    }

    @Test func whatIsRunTogetherIsPassedOnTogether() async throws {
        try await Self.withFruits { base in
            for wrapped in [FaultyDatabase(base), WatchedDatabase(base)] as [any Database] {
                try await wrapped.write { try $0.execute(Self.writes) }
            }
            #expect(base.together == [3, 3])
        }
    }

    @Test(arguments: 0..<3)
    func aFaultLeavesWhatCameBeforeItDone(_ step: Int) async throws {
        try await Self.withFruits { base in
            let faulty = FaultyDatabase(base)
            // The first step is the beginning of the transaction.
            faulty.fail(atStep: step + 1, with: .data)
            await #expect(throws: DatabaseError.self) { try await faulty.write { try $0.execute(Self.writes) } }
            #expect(!faulty.withdraw())
            #expect(base.together == [step])
        }
    }

    @Test func whatIsRunTogetherIsCounted() async throws {
        try await Self.withFruits { base in
            let watched = WatchedDatabase(base)
            try await watched.write { try $0.execute(Self.writes) }
            #expect(watched.mostRows == 3)
        }
    }

    private static func withFruits(_ body: @Sendable (TogetherDatabase) async throws -> Void) async throws {
        try await SQLiteFixture().with { database in
            try await database.write { try $0.execute("CREATE TABLE fruits (number INTEGER)") }
            try await body(TogetherDatabase(database))
        }
    }
}

/// Remembers how many statements were run together.
private final class TogetherDatabase: Database {
    private let base: any Database
    private let seen = Mutex<[Int]>([])

    init(_ base: any Database) { self.base = base }

    var together: [Int] { seen.withLock { $0 } }
    var dialect: Dialect { base.dialect }
    var threads: DatabaseThreads { base.threads }

    func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value { try base.blockingRead(body) }

    func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        try base.blockingWrite { connection in
            let together = TogetherConnection(connection)
            defer { seen.withLock { $0 += together.counts } }
            return try body(together)
        }
    }

    func close() async { await base.close() }
}

private final class TogetherConnection: Connection {
    private let base: any Connection
    private(set) var counts: [Int] = []

    init(_ base: any Connection) { self.base = base }

    var dialect: Dialect { base.dialect }

    func execute(_ sql: SQL) throws -> Int { try base.execute(sql) }
    func execute(_ statement: BulkStatement, rows: BulkRows) throws { try base.execute(statement, rows: rows) }
    func forEach(_ sql: SQL, _ body: (borrowing Row) throws -> RowStep) throws { try base.forEach(sql, body) }

    func execute(_ writes: [BulkWrite]) throws {
        counts.append(writes.count)
        try base.execute(writes)
    }
}
