import Logging
public import Persistence
public import PersistenceMariaDB
import Synchronization

/// A MariaDB database of its own for a test: on the test run's server, dropped with the fixture.
public final class MariaDBFixture: DatabaseFixture {
    private static let count = Atomic(0)

    /// The server.
    public let server: MariaDBServer
    /// The name of the database on it.
    public let name: String

    /// Makes a database.
    ///
    /// - Parameter server: The shared one, unless a test kills it.
    public init(on server: MariaDBServer? = nil) throws {
        let server = try server ?? MariaDBServer.shared()
        self.server = server
        name = "test_\(Self.count.add(1, ordering: .relaxed).newValue)"
        try Self.execute("CREATE DATABASE \(raw: name)", on: server)
    }

    deinit {
        // A server that the test has ended needs no cleaning up.
        try? Self.execute("DROP DATABASE \(raw: name)", on: server)
    }

    /// On a connection that is not kept: hundreds of tests run at once.
    private static func execute(_ sql: SQL, on server: MariaDBServer) throws {
        let database = MariaDBDatabase(server.address(database: "mysql"), logger: logger)
        defer { Task { await database.close() } }
        try database.blockingWrite { _ = try $0.execute(sql) }
    }

    /// Where the database is.
    public var address: ServerAddress {
        var address = server.address(database: name)
        address.readers = 3
        return address
    }

    public func open() async throws -> any Database { openDatabase() }

    /// Opens it as what it is.
    public func openDatabase() -> MariaDBDatabase { MariaDBDatabase(address, logger: Self.logger) }

    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}
