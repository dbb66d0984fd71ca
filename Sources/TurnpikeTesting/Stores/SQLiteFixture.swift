import Logging
public import Persistence
public import PersistenceSQLite

/// A SQLite database of its own for a test: in a new directory, which is removed with the fixture.
public final class SQLiteFixture: DatabaseFixture {
    private let files = TemporaryDirectory()

    /// Makes the directory; the file is made when it is first opened.
    public init() {}

    /// The directory that holds the file.
    public var directory: String { files.path }

    /// The database's file.
    public var path: String { "\(directory)/test.db" }

    public func open() async throws -> any Database { try openFile() }

    /// - Parameter busyTimeout: How long it waits for another handle; short, so that tests of it are.
    public func openFile(busyTimeout: Duration = .milliseconds(500)) throws -> SQLiteDatabase {
        var configuration = SQLiteDatabase.Configuration()
        configuration.busyTimeout = busyTimeout
        return try SQLiteDatabase(path: path, configuration: configuration, logger: Logger(label: "test"))
    }
}
