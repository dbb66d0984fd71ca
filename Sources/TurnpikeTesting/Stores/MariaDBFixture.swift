import Logging
public import Persistence
public import PersistenceMariaDB
import Synchronization

/// A MariaDB database of its own for a test: on the test run's server, made when it is first opened, dropped with the
/// fixture.
///
/// Making and dropping blocks, so it happens on threads of the fixtures' own: hundreds of tests run at once, and those
/// that measure time must not stand still.
public final class MariaDBFixture: DatabaseFixture {
    private static let count = Atomic(0)
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// The name of the database on the server.
    public let name: String
    private let given: MariaDBServer?
    private let isMade = Mutex(false)

    /// - Parameter server: The shared one, unless a test kills it.
    public init(on server: MariaDBServer? = nil) {
        given = server
        name = "test_\(Self.count.add(1, ordering: .relaxed).newValue)"
    }

    deinit {
        guard isMade.withLock({ $0 }), let running = try? server else { return }
        let name = name
        // A server that the test has ended needs no cleaning up.
        Task { try? await MariaDBServer.blocking { try Self.execute("DROP DATABASE \(raw: name)", on: running) } }
    }

    /// The server.
    public var server: MariaDBServer { get throws { try given ?? MariaDBServer.shared() } }

    /// Where the database is; it is made where that has not happened.
    public func address() async throws -> ServerAddress {
        let running = try await MariaDBServer.blocking { [self] in
            let running = try server
            try Self.execute("CREATE DATABASE IF NOT EXISTS \(raw: name)", on: running)
            return running
        }
        isMade.withLock { $0 = true }
        var address = running.address(database: name)
        address.readers = 3
        return address
    }

    public func open() async throws -> any Database { try await openDatabase() }

    /// Opens it as what it is.
    public func openDatabase() async throws -> MariaDBDatabase {
        MariaDBDatabase(try await address(), logger: Self.logger)
    }

    /// On a connection that is not kept.
    private static func execute(_ sql: SQL, on server: MariaDBServer) throws {
        let database = MariaDBDatabase(server.address(database: "mysql"), logger: logger)
        defer { Task { await database.close() } }
        try database.blockingWrite { _ = try $0.execute(sql) }
    }
}
