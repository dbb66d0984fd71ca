import Glibc
import Logging
import Persistence
import PersistenceSQLite
import TurnpikeTesting

/// A SQLite file in a directory of its own, which is removed with the fixture.
final class SQLiteFixture: DatabaseFixture {
    let directory: String

    init() {
        let template = Array("/tmp/turnpike-XXXXXX".utf8CString)
        directory = template.withUnsafeBufferPointer { template in
            var copy = Array(template)
            return mkdtemp(&copy).map { String(cString: $0) } ?? "/tmp"
        }
    }

    deinit {
        for name in ["test.db", "test.db-wal", "test.db-shm"] { unlink("\(directory)/\(name)") }
        rmdir(directory)
    }

    var path: String { "\(directory)/test.db" }

    func open() async throws -> any Database { try openFile() }

    func openFile() throws -> SQLiteDatabase {
        var configuration = SQLiteDatabase.Configuration()
        configuration.busyTimeout = .milliseconds(500)
        return try SQLiteDatabase(path: path, configuration: configuration, logger: Logger(label: "test"))
    }
}
