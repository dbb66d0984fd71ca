import Glibc
import NIOCore
import Persistence
import PersistenceMariaDB
import Testing
import TurnpikeTesting

/// Errors of a running server: other transactions, and an operator's KILL.
@Suite("MariaDB: conflicts and kills", .serialized) struct MariaDBConflictTests {
    @Test func aDeadlockIsDoneAgain() async throws {
        try await MariaDBFixture().with { database in
            try await database.createNumbers()
            for number in 1...2 { try await database.insertNumber(number) }
            let attempts = Attempts()
            let locked = Attempts()
            // Each holds one row until the other holds the other one.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (first, second) in [(1, 2), (2, 1)] {
                    group.addTask {
                        try await database.write { connection in
                            _ = attempts.next()
                            try connection.execute("UPDATE numbers SET data = 'x' WHERE number = \(first)")
                            _ = locked.next()
                            while locked.count < 2 { sched_yield() }
                            try connection.execute("UPDATE numbers SET data = 'x' WHERE number = \(second)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(attempts.count == 3)
        }
    }

    @Test func aLockThatIsHeldTooLongIsWaitedForAgain() async throws {
        let fixture = MariaDBFixture()
        var address = try await fixture.address()
        address.statementTimeout = .seconds(2)
        try await with(address) { database in
            try await database.createNumbers()
            try await database.insertNumber(1)
            let attempts = Attempts()
            let gate = Gate()
            defer { gate.open() }
            let holding = Task {
                try await database.write { connection in
                    try connection.execute("UPDATE numbers SET data = 'x' WHERE number = 1")
                    gate.pass()
                }
            }
            await gate.entered()
            try await database.write { connection in
                if attempts.next() == 2 { gate.open() }
                try connection.execute("UPDATE numbers SET data = 'y' WHERE number = 1")
            }
            try await holding.value
            #expect(attempts.count == 2)
        }
    }

    /// The error comes among the rows, on the connection and not on the statement; taken for the end, it would be a
    /// conversation without its last messages.
    @Test(arguments: ["KILL QUERY", "KILL"])
    func aQueryThatIsKilledAmongItsRowsIsReadAgainAndNotCutOff(_ kill: String) async throws {
        try await MariaDBFixture().with { database in
            let attempts = Attempts()
            let count = try await database.read { connection in
                let isFirst = attempts.next() == 1
                let id = try connection.number("SELECT CONNECTION_ID()")
                var count = 0
                try connection.forEach("SELECT seq, REPEAT('x', 1000) FROM seq_1_to_50000") { row in
                    if isFirst, count == 0 {
                        try database.blockingRead { _ = try $0.execute("\(raw: kill) \(raw: "\(id)")") }
                    }
                    count += 1
                    return .next
                }
                return count
            }
            #expect(count == 50_000)
            #expect(attempts.count == 2)
        }
    }

    @Test func aConnectionThatIsKilledInATransactionLosesItWhole() async throws {
        try await MariaDBFixture().with { database in
            try await database.createNumbers()
            let attempts = Attempts()
            try await database.write { connection in
                try connection.execute("INSERT INTO numbers (number) VALUES (1)")
                if attempts.next() == 1 {
                    let id = try connection.number("SELECT CONNECTION_ID()")
                    try database.blockingRead { _ = try $0.execute("KILL \(raw: "\(id)")") }
                }
                try connection.execute("INSERT INTO numbers (number) VALUES (2)")
            }
            #expect(attempts.count == 2)
            #expect(try await database.countNumbers() == 2)
        }
    }

    @Test func aTransactionThatIsGoneIsNotContinuedByWhoSwallowsTheError() async throws {
        try await MariaDBFixture().with { database in
            try await database.createNumbers()
            let error = await #expect(throws: DatabaseError.self) {
                try await database.threads.writers.run {
                    try database.blockingWrite { connection in
                        try connection.execute("INSERT INTO numbers (number) VALUES (1)")
                        let id = try connection.number("SELECT CONNECTION_ID()")
                        try database.blockingRead { _ = try $0.execute("KILL \(raw: "\(id)")") }
                        _ = try? connection.execute("INSERT INTO numbers (number) VALUES (2)")
                    }
                }
            }
            #expect(error?.isRetryable == true)
            #expect(try await database.countNumbers() == 0)
        }
    }

    @Test func aStatementThatTakesTooLongIsEndedByTheServer() async throws {
        let fixture = MariaDBFixture()
        var address = try await fixture.address()
        address.statementTimeout = .seconds(1)
        try await with(address) { database in
            let error = await #expect(throws: DatabaseError.self) {
                try await database.number("SELECT MAX(CRC32(seq)) FROM seq_1_to_100000000000")
            }
            #expect(error?.failure == .unavailable && error?.code == 1_969)
            let found = try await database.number("SELECT 1")
            #expect(found == 1)
        }
    }

    @Test func aTableThatChangesUnderAPreparedStatementIsReadAsItIs() async throws {
        try await MariaDBFixture().with { database in
            try await database.createNumbers()
            try await database.insertNumber(1)
            #expect(try await database.countNumbers() == 1)
            for type in ["MEDIUMTEXT", "BIGINT", "LONGBLOB"] {
                _ = try await database.read { try $0.rows("SELECT number, data FROM numbers") { try $0.integer(0) } }
                try await database.write { try $0.execute("ALTER TABLE numbers MODIFY data \(raw: type) NULL") }
                try await database.write { try $0.execute("ALTER TABLE numbers ADD c\(raw: type) INT NULL") }
            }
            let found = try await database.read {
                try $0.rows("SELECT number, data FROM numbers") { try $0.integer(0) }
            }
            #expect(found == [1])
        }
    }

    @Test func errorsQuoteNoValues() async throws {
        try await MariaDBFixture().with { database in
            try await database.write { try $0.execute("CREATE TABLE words (word VARCHAR(20) NOT NULL PRIMARY KEY)") }
            for statement in [
                "INSERT INTO words (word) VALUES ('canary'), ('canary')", "SELECT canary FROM words", "SELECT 'canary",
                "INSERT INTO words (word) VALUES ('canary-that-is-much-too-long')",
            ] {
                let error = await #expect(throws: DatabaseError.self) {
                    try await database.write { try $0.execute(SQL(raw: statement)) }
                }
                #expect(error.map { "\($0) \($0.debugDescription)".contains("canary") } == false)
            }
        }
    }
}
