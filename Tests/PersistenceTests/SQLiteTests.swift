import Glibc
import Logging
import Persistence
import PersistenceSQLite
import Testing
import TurnpikeTesting

@Suite("SQLite") struct SQLiteTests {
    @Test(arguments: ConformanceCase.databases)
    func keepsThePromise(_ promise: ConformanceCase) async throws {
        try await promise.verify(on: SQLiteFixture())
    }

    @Test func commitsAreSyncedToTheDisk() async throws {
        try await SQLiteFixture().with { database in
            let modes = try await database.write { connection in
                try connection.first("PRAGMA synchronous") { try $0.integer(0) }
            }
            #expect(modes == 2)
            let journal = try await database.read { connection in
                try connection.first("PRAGMA journal_mode") { try $0.text(0) }
            }
            #expect(journal == "wal")
        }
    }

    @Test func onlyTheOwnerCanReadTheFile() async throws {
        let fixture = SQLiteFixture()
        let path = "\(fixture.directory)/a/b/deep.db"
        let database = try SQLiteDatabase(path: path, logger: .init(label: "test"))
        for suffix in ["", "-wal", "-shm"] { #expect(permissions(path + suffix) == 0o600) }
        #expect(permissions("\(fixture.directory)/a") == 0o700)
        #expect(permissions("\(fixture.directory)/a/b") == 0o700)
        await database.close()
    }

    @Test func aFileThatIsNoDatabaseIsRefused() throws {
        let fixture = SQLiteFixture()
        let file = try #require(fopen(fixture.path, "w"))
        fputs(String(repeating: "this is not a database\n", count: 100), file)
        fclose(file)
        let error = #expect(throws: DatabaseError.self) { try fixture.openFile() }
        #expect(error?.failure == .refuse)
    }

    @Test func aPathThatCannotBeWrittenIsRefused() throws {
        let error = #expect(throws: DatabaseError.self) {
            try SQLiteDatabase(path: "/proc/turnpike/x.db", logger: .init(label: "test"))
        }
        #expect(error?.failure == .refuse)
    }

    @Test func aFileThatCannotBeOpenedYetIsOpenedOnceItCan() async throws {
        let fixture = SQLiteFixture()
        #expect(mkdir(fixture.path, 0o700) == 0, "a directory stands in its place")
        let database = SQLiteDatabase(openingOnUse: fixture.path, logger: .init(label: "test"))
        await #expect(throws: DatabaseError.self) {
            try await database.read { try $0.first("SELECT 1") { try $0.integer(0) } }
        }
        rmdir(fixture.path)
        #expect(try await database.read { try $0.first("SELECT 1") { try $0.integer(0) } } == 1)
        await database.close()
    }

    @Test func aFileThatWasNeverOpenedIsClosedAtOnce() async throws {
        let fixture = SQLiteFixture()
        let database = SQLiteDatabase(openingOnUse: fixture.path, logger: .init(label: "test"))
        await database.close()
        #expect(throws: DatabaseError.self) {
            try database.blockingRead { try $0.first("SELECT 1") { try $0.integer(0) } }
        }
        #expect(access(fixture.path, F_OK) != 0)
    }

    @Test func aLockThatAnotherProcessHoldsIsWaitedForAndThenReported() async throws {
        let fixture = SQLiteFixture()
        let first = try fixture.openFile()
        let second = try fixture.openFile(busyTimeout: .milliseconds(1))
        let gate = Gate()
        let writing = Task { try await first.write { _ in gate.pass() } }
        await gate.entered()
        let error = await #expect(throws: DatabaseError.self) { try await second.write { _ in } }
        #expect(error?.failure == .retryTransaction)
        gate.open()
        try await writing.value
        try await second.write { _ in }
        await first.close()
        await second.close()
    }

    @Test func aFullDiskIsReportedAsUnavailable() async throws {
        try await SQLiteFixture().with { database in
            try await database.write { connection in
                try connection.execute("CREATE TABLE filler (data BLOB)")
                try connection.execute("PRAGMA max_page_count = 20")
            }
            let error = await #expect(throws: DatabaseError.self) {
                try await database.write { try $0.execute("INSERT INTO filler (data) VALUES (zeroblob(1000000))") }
            }
            #expect(error?.failure == .unavailable)
        }
    }

    private func permissions(_ path: String) -> mode_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : nil
    }
}
