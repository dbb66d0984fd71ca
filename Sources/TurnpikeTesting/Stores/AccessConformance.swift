import NIOCore
import Persistence

/// Reading, writing, and what concurrent callers see.
enum AccessConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("a transaction that throws leaves nothing", rollBack),
            ConformanceCase("a statement that fails leaves the connection usable", recovery),
            ConformanceCase("a read sees what was written before it", readYourWrites),
            ConformanceCase("concurrent transactions lose no update", noLostUpdates),
            ConformanceCase("two handles on one store lose no update", twoHandles),
            ConformanceCase("a query can stop before its end, and fail in its middle", earlyStop),
            ConformanceCase("a bulk statement writes every row", bulk),
            ConformanceCase("writes that go together are all done, in order", together),
            ConformanceCase("a write that is refused fails those that go together with it", refusedTogether),
            ConformanceCase("insert-or-ignore counts what it inserted", insertOrIgnore),
            ConformanceCase("a closed database refuses, and closing twice is harmless", closing),
        ]
    }

    private struct Interruption: Error {}

    private static func createCounter(_ database: any Database) async throws {
        try await database.write { connection in
            let type = connection.dialect
            try connection.execute(
                """
                CREATE TABLE counters (counter_id \(raw: type.integer) NOT NULL PRIMARY KEY, \
                total \(raw: type.integer) NOT NULL) \(raw: type.clustered)
                """)
        }
        try await database.write { _ = try $0.execute("INSERT INTO counters (counter_id, total) VALUES (1, 0)") }
    }

    private static func total(_ database: any Database) async throws -> Int? {
        try await database.read { connection in
            try connection.first("SELECT total FROM counters WHERE counter_id = 1") { try $0.value(0) }
        }
    }

    /// Reads, then writes what it read plus one: loses updates unless transactions exclude each other.
    @Sendable private static func increment(_ connection: any Connection) throws {
        let total: Int? = try connection.first(
            "SELECT total FROM counters WHERE counter_id = 1 \(raw: connection.dialect.forUpdate)"
        ) { try $0.value(0) }
        try connection.execute("UPDATE counters SET total = \((total ?? 0) + 1) WHERE counter_id = 1")
    }

    @Sendable private static func rollBack(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createCounter(database)
            do {
                try await database.write { connection in
                    try increment(connection)
                    throw Interruption()
                }
                throw ConformanceFailure(description: "the error was swallowed")
            } catch is Interruption {}
            try expectEqual(try await total(database), 0, "the counter")
        }
    }

    @Sendable private static func recovery(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createCounter(database)
            try await expectFailure([.data], "the same key twice") {
                try await database.write { connection in
                    try increment(connection)
                    try connection.execute("INSERT INTO counters (counter_id, total) VALUES (1, 5)")
                }
            }
            try await expectFailure([.refuse], "a statement that is not SQL") {
                try await database.write { try $0.execute("SELEKT 1") }
            }
            try await database.write(increment)
            try expectEqual(try await total(database), 1, "the counter")
        }
    }

    @Sendable private static func readYourWrites(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createCounter(database)
            for expected in 1...50 {
                try await database.write(increment)
                try expectEqual(try await total(database), expected, "the counter")
            }
        }
    }

    @Sendable private static func noLostUpdates(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createCounter(database)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<64 { group.addTask { try await database.write(increment) } }
                try await group.waitForAll()
            }
            try expectEqual(try await total(database), 64, "the counter")
        }
    }

    @Sendable private static func twoHandles(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { first in
            try await createCounter(first)
            try await fixture.with { second in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in 0..<40 {
                        group.addTask { try await (index % 2 == 0 ? first : second).write(increment) }
                    }
                    try await group.waitForAll()
                }
                try expectEqual(try await total(second), 40, "the counter")
            }
        }
    }

    @Sendable private static func earlyStop(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await ValueConformance.createTable(database)
            try await database.write { connection in
                for index in 0..<100 {
                    try connection.execute(ValueConformance.table + "(\(index), NULL, NULL, NULL, NULL, NULL)")
                }
            }
            let query: SQL = "SELECT sample_id FROM samples ORDER BY sample_id"
            let seen = try await database.read { connection in
                var seen: [Int] = []
                try connection.forEach(query) { row in
                    seen.append(try row.value(0))
                    return seen.count == 3 ? .stop : .next
                }
                try? connection.forEach(query) { _ in throw Interruption() }
                return seen + (try connection.rows(query) { try $0.value(0) })
            }
            try expectEqual(seen, [0, 1, 2] + Array(0..<100), "the rows")
        }
    }

    private static let insertion = BulkStatement(insertInto: "samples", ["sample_id", "words", "data", "number"])
    private static let renumbering = BulkStatement("UPDATE samples SET number = number * 10 + ? WHERE sample_id = ?")

    private static func sample(_ id: Int, words: SQLValue = .null, bytes: Int = 1) -> [SQLValue] {
        [.integer(Int64(id)), words, .blob(ByteBuffer(repeating: 1, count: bytes)), .integer(0)]
    }

    @Sendable private static func together(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await ValueConformance.createTable(database)
            for first in [0, 1_000] {
                try await database.write { connection in
                    // Many rows, none, one that is sent in pieces, and more single ones than answers may wait.
                    try connection.execute([
                        BulkWrite(insertion, rows: (first..<first + 300).flatMap { sample($0) }),
                        BulkWrite(insertion, rows: []),
                        BulkWrite(insertion, rows: sample(first + 300, bytes: 1_500_000)),
                        BulkWrite(
                            renumbering, rows: (first..<first + 301).flatMap { [.integer(1), .integer(Int64($0))] }),
                        BulkWrite(
                            renumbering,
                            rows: (first..<first + 100).flatMap {
                                [$0 % 2 == 0 ? .integer(2) : .double(2), .integer(Int64($0))]
                            }),
                    ])
                    try connection.execute("UPDATE samples SET number = number * 10 + 3 WHERE sample_id = \(first)")
                }
            }
            let numbers = try await database.read { connection in
                try connection.rows("SELECT number FROM samples ORDER BY sample_id") { try $0.value(0, as: Int.self) }
            }
            let expected = [123] + Array(repeating: 12, count: 99) + Array(repeating: 1, count: 201)
            try expectEqual(numbers, expected + expected, "the rows")
        }
    }

    @Sendable private static func refusedTogether(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await ValueConformance.createTable(database)
            try await database.write { try $0.execute(insertion, rows: sample(7)) }
            for refused in 0..<3 {
                let ids = (0..<3).map { [$0 == refused ? 7 : 10 + $0, 20 + $0] }
                try await expectFailure([.data], "the write") {
                    try await database.write { connection in
                        try connection.execute(ids.map { BulkWrite(insertion, rows: $0.flatMap { sample($0) }) })
                    }
                }
            }
            let ids = try await database.read { connection in
                try connection.rows("SELECT sample_id FROM samples") { try $0.value(0, as: Int.self) }
            }
            try expectEqual(ids, [7], "the rows")
            try await database.write { try $0.execute([BulkWrite(insertion, rows: sample(8) + sample(9))]) }
        }
    }

    @Sendable private static func bulk(_ fixture: any DatabaseFixture) async throws {
        let statement = BulkStatement(insertInto: "samples", ["sample_id", "words", "data", "number"])
        try await fixture.with { database in
            try await ValueConformance.createTable(database)
            for (start, count) in [(0, 1), (1, 2), (3, 253), (256, 1_000)] {
                try await database.write { connection in
                    let values = (start..<start + count).flatMap { index -> [SQLValue] in
                        [
                            .integer(Int64(index)), index % 3 == 0 ? .null : .text("text \(index)"),
                            .blob(ByteBuffer(repeating: 1, count: index)), .integer(Int64(-index)),
                        ]
                    }
                    try connection.execute(statement, rows: values)
                    try connection.execute(statement, rows: [])
                }
            }
            let found = try await database.read { connection in
                try connection.rows("SELECT sample_id, words, data, number FROM samples ORDER BY sample_id") { row in
                    let index: Int = try row.value(0)
                    let text: String? = try row.optional(1)
                    return try text == (index % 3 == 0 ? nil : "text \(index)")
                        && row.withBytes(2) { $0.count } == index && row.value(3) == -index
                }
            }
            try expectEqual(found, Array(repeating: true, count: 1_256), "the rows")
        }
    }

    @Sendable private static func insertOrIgnore(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createCounter(database)
            let counts = try await database.write { connection in
                try [1, 2, 2].map { (index: Int) in
                    try connection.execute(
                        """
                        INSERT INTO counters (counter_id, total) VALUES (\(index), 9) \
                        \(raw: connection.dialect.orIgnore("counter_id"))
                        """)
                }
            }
            try expectEqual(counts, [0, 1, 0], "inserted rows")
            try expectEqual(try await total(database), 0, "the row that was there")
        }
    }

    @Sendable private static func closing(_ fixture: any DatabaseFixture) async throws {
        let database = try await fixture.open()
        try await createCounter(database)
        await database.close()
        await database.close()
        try await expectFailure([.unavailable], "a read") { try await total(database) }
        try await expectFailure([.unavailable], "a write") { try await database.write(increment) }
    }
}
