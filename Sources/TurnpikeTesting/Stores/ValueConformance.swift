import NIOCore
import Persistence

/// What goes into a column comes out of it.
enum ValueConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("every kind of value comes back as it went", roundTrip),
            ConformanceCase("a text of 8 MB and bytes of 8 MB come back as they went", bigValues),
            ConformanceCase("names are compared byte by byte", comparison),
            ConformanceCase("a column that holds something else is an error, not a conversion", mismatches),
            ConformanceCase("a list of any length matches its members and nothing else", lists),
            ConformanceCase("a value is never read as SQL", injection),
        ]
    }

    static let table: SQL = "INSERT INTO samples (sample_id, number, fraction, words, data, identifier) VALUES "

    static func createTable(_ database: any Database) async throws {
        try await database.write { connection in
            let type = connection.dialect
            try connection.execute(
                """
                CREATE TABLE samples (sample_id \(raw: type.integer) NOT NULL PRIMARY KEY, number \(raw: type.integer) NULL, \
                fraction DOUBLE NULL, words \(raw: type.longText) NULL, data \(raw: type.bytes) NULL, \
                identifier \(raw: type.id) NULL) \(raw: type.bigRows)
                """)
        }
    }

    @Sendable private static func roundTrip(_ fixture: any DatabaseFixture) async throws {
        let texts = [
            "", " ", "a", "a ", "a\u{0}b", "\u{0}", "🍣", "👩‍👩‍👧‍👦 👍🏽", "e\u{301}", "é", "\r\n\t\\'\"%_?", "\u{FFFD}\u{10FFFF}",
        ]
        let numbers = [0, 1, -1, Int64.max, Int64.min, 1 << 40]
        let fractions = [0.0, -0.1, .pi, 1e300, -.leastNonzeroMagnitude, .leastNormalMagnitude]
        let blobs = [[], [0], [0, 255, 0], Array(0...255)].map { (bytes: [UInt8]) in ByteBuffer(bytes: bytes) }
        try await fixture.with { database in
            try await createTable(database)
            for index in 0..<12 {
                let identifier = UniqueID.generate()
                let text = texts[index], number = numbers[index % 6], fraction = fractions[index % 6]
                let blob = blobs[index % 4]
                try await database.write { connection in
                    try connection.execute(
                        table + "(\(index), \(number), \(fraction), \(text), \(blob), \(identifier))")
                }
                let query: SQL = """
                    SELECT number, fraction, words, data, identifier FROM samples WHERE sample_id = \(index)
                    """
                let matches = try await database.read { connection in
                    try connection.first(query) { row in
                        let values: (Int64, Double, String, ByteBuffer, UniqueID) = try (
                            row.value(0), row.value(1), row.value(2), row.value(3), row.value(4)
                        )
                        try expectEqual(values.0, number, "an integer")
                        try expectEqual(values.1, fraction, "a double")
                        try expectEqual(Array(values.2.utf8), Array(text.utf8), "a text")
                        try expectEqual(values.3, blob, "bytes")
                        try expectEqual(values.4, identifier, "an identifier")
                        return true
                    }
                }
                try expectEqual(matches, true, "the row")
            }
            try await nulls(database)
        }
    }

    private static func nulls(_ database: any Database) async throws {
        try await database.write { connection in
            try connection.execute(table + "(100, \(Int64?.none), \(Double?.none), \(String?.none), NULL, NULL)")
        }
        let found = try await database.read { connection in
            try connection.first("SELECT number, fraction, words, data, identifier FROM samples WHERE sample_id = 100")
            {
                try (
                    $0.optional(0, as: Int64.self), $0.optional(2, as: String.self), $0.optional(3, as: ByteBuffer.self)
                )
            }
        }
        try expect(found.map { $0.0 == nil && $0.1 == nil && $0.2 == nil } == true, "NULLs come back as nil")
    }

    @Sendable private static func bigValues(_ fixture: any DatabaseFixture) async throws {
        let text = String(repeating: "0123456789abcdé", count: 8 << 16)
        let blob = ByteBuffer(repeating: 0xA5, count: 8 << 20)
        try await fixture.with { database in
            try await createTable(database)
            for index in 1...2 {
                try await database.write { connection in
                    try connection.execute(table + "(\(index), NULL, NULL, \(text), \(blob), NULL)")
                }
            }
            let found = try await database.read { connection in
                try connection.rows("SELECT words, data FROM samples ORDER BY sample_id") {
                    try $0.value(0) == text && $0.value(1) == blob
                }
            }
            try expectEqual(found, [true, true], "big values")
        }
    }

    @Sendable private static func comparison(_ fixture: any DatabaseFixture) async throws {
        let names = ["a", "A", "a ", " a", "a\u{0}", "é", "e\u{301}", "🍣", "🍺", "ß", "ss"]
        try await fixture.with { database in
            try await database.write { connection in
                let type = connection.dialect
                try connection.execute(
                    "CREATE TABLE names (name \(raw: type.text(100)) NOT NULL PRIMARY KEY) \(raw: type.clustered)")
            }
            for name in names {
                try await database.write { connection in
                    _ = try connection.execute("INSERT INTO names (name) VALUES (\(name))")
                }
                let found = try await database.read { connection in
                    try connection.rows("SELECT name FROM names WHERE name = \(name)") { try $0.text(0) }
                }
                try expectEqual(found.map { Array($0.utf8) }, [Array(name.utf8)], "a name")
            }
            try await expectFailure([.data], "the same name twice") {
                try await database.write { try $0.execute("INSERT INTO names (name) VALUES ('a')") }
            }
        }
    }

    @Sendable private static func mismatches(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createTable(database)
            try await database.write { connection in
                try connection.execute(table + "(1, 7, 0.5, 'x', \(ByteBuffer(bytes: [1, 2, 3])), NULL)")
            }
            let query: SQL = "SELECT number, fraction, words, data, identifier FROM samples"
            let reads: [@Sendable (borrowing Row) throws -> Void] = [
                { _ = try $0.text(0) }, { _ = try $0.integer(1) }, { _ = try $0.integer(2) }, { _ = try $0.double(2) },
                { _ = try $0.text(3) }, { _ = try $0.value(3, as: UniqueID.self) }, { _ = try $0.integer(4) },
                { _ = try $0.value(4, as: String.self) }, { _ = try $0.integer(5) }, { _ = try $0.integer(-1) },
            ]
            for (index, read) in reads.enumerated() {
                try await expectFailure([.data], "read \(index)") {
                    try await database.read { connection in
                        try connection.first(query) { row in
                            try read(row)
                            return true
                        }
                    }
                }
            }
        }
    }

    @Sendable private static func lists(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createTable(database)
            try await database.write { connection in
                for index in 0..<40 { try connection.execute(table + "(\(index), NULL, NULL, NULL, NULL, NULL)") }
            }
            for count in [0, 1, 2, 3, 4, 5, 17, 40] {
                let wanted = Array(0..<count)
                let found = try await database.read { connection in
                    try connection.rows(
                        "SELECT sample_id FROM samples WHERE sample_id IN (\(list: wanted)) ORDER BY sample_id"
                    ) { try $0.value(0, as: Int.self) }
                }
                try expectEqual(found, wanted, "a list of \(count)")
            }
        }
    }

    @Sendable private static func injection(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createTable(database)
            let text = "x'); DROP TABLE samples; -- ?"
            try await database.write { connection in
                try connection.execute(table + "(1, NULL, NULL, \(text), NULL, NULL)")
            }
            let found = try await database.read { connection in
                try connection.rows("SELECT words FROM samples WHERE words = \(text)") { try $0.text(0) }
            }
            try expectEqual(found, [text], "the text")
        }
    }
}
