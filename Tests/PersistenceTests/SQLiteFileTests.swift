import Glibc
import Persistence
import PersistenceSQLite
import Testing
import TurnpikeTesting

/// The file is removed or replaced while the database is open.
@Suite("SQLite: the file") struct SQLiteFileTests {
    private let fixture = SQLiteFixture()

    private func withNumbers(_ body: (SQLiteDatabase) async throws -> Void) async throws {
        let database = try fixture.openFile()
        try await database.closing {
            try await database.write { _ = try $0.execute("CREATE TABLE numbers (number BIGINT)") }
            try await body(database)
        }
        for name in ["moved.db", "moved.db-wal", "moved.db-shm"] { unlink("\(fixture.directory)/\(name)") }
    }

    private func add(_ number: Int, to database: SQLiteDatabase) async throws {
        try await database.write { _ = try $0.execute("INSERT INTO numbers (number) VALUES (\(number))") }
    }

    private func count(_ database: SQLiteDatabase) async throws -> Int? {
        try await database.read { try $0.first("SELECT COUNT(*) FROM numbers") { try $0.value(0) } }
    }

    private var moved: String { "\(fixture.directory)/moved.db" }

    @Test func aFileThatIsGoneIsAnOutageUntilItIsBack() async throws {
        try await withNumbers { database in
            try await add(1, to: database)
            #expect(database.problems.isEmpty)
            #expect(rename(fixture.path, moved) == 0)
            for _ in 0..<3 {
                let error = await #expect(throws: DatabaseError.self) { try await add(2, to: database) }
                #expect(error?.failure == .unavailable)
                await #expect(throws: DatabaseError.self) { _ = try await count(database) }
            }
            #expect(database.problems.count == 1)
            #expect(access(fixture.path, F_OK) != 0, "none is made in its place")
            #expect(rename(moved, fixture.path) == 0)
            #expect(database.problems.isEmpty)
            try await add(3, to: database)
            #expect(try await count(database) == 2)
        }
    }

    @Test func aFileInItsPlaceIsNotTheSame() async throws {
        try await withNumbers { database in
            #expect(rename(fixture.path, moved) == 0)
            let file = try #require(fopen(fixture.path, "w"))
            fclose(file)
            let error = await #expect(throws: DatabaseError.self) { try await add(1, to: database) }
            #expect(error?.failure == .unavailable)
            #expect(rename(moved, fixture.path) == 0)
        }
    }

    @Test func whatWasCommittedToAFileThatIsGoneIsNotSaidToBeStored() async throws {
        try await withNumbers { database in
            let (from, to) = (fixture.path, moved)
            let error = await #expect(throws: DatabaseError.self) {
                try await database.write { connection in
                    try connection.execute("INSERT INTO numbers (number) VALUES (1)")
                    _ = rename(from, to)
                }
            }
            #expect(error?.failure == .unknownAtCommit)
            #expect(rename(moved, fixture.path) == 0)
            let rows = try await count(database)
            #expect(rows == 1, "with the file it is back")
        }
    }
}
