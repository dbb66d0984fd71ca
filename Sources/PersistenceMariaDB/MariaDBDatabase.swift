public import Logging
public import Persistence
internal import Synchronization

/// MariaDB over libmariadb: a server, or the nodes of a Galera cluster.
///
/// - Nothing is connected until it is needed: Turnpike starts without its database, and goes on without a restart when
///   the server comes back.
/// - Calls block threads of the database's own: readers, writers, and two per lane at most. More writers would meet each
///   other more often than they would help.
/// - Statements are prepared once per connection, rows are streamed, batches are one command each.
/// - Of several hosts the first that can be used gets all connections.
public final class MariaDBDatabase: Database {
    public var dialect: Dialect { .mariadb }
    /// The threads on which accesses run.
    public let threads: DatabaseThreads

    private let pool: ConnectionPool
    private let diagnosis: ServerDiagnosis

    /// Opens nothing yet.
    ///
    /// - Parameter patience: How long callers that wait ``Waiting/promptly`` do so while nobody is answered.
    public convenience init(_ address: ServerAddress, logger: Logger, patience: Duration = .seconds(10)) {
        self.init(address, logger: logger, patience: patience, sendsRowsTogether: Statement.takesRows)
    }

    /// - Parameter sendsRowsTogether: False: as with a libmariadb before 3.3.
    init(_ address: ServerAddress, logger: Logger, patience: Duration = .seconds(10), sendsRowsTogether: Bool) {
        let diagnosis = ServerDiagnosis(address, logger: logger)
        self.diagnosis = diagnosis
        pool = ConnectionPool(
            Connector(
                address: address, sendsRowsTogether: sendsRowsTogether, onPacketLimit: { diagnosis.note(packet: $0) },
                onReport: { diagnosis.note($0) }),
            onMove: { logger.notice("The database is another host now.", metadata: ["host": "\($0)"]) })
        threads = DatabaseThreads("mariadb", readers: address.readers, writers: 2, shards: 2, patience: patience)
    }

    /// Settings of the server that break the promise, or soon will; empty before the first connection.
    public var problems: [String] { diagnosis.problems }

    /// What the server takes in one packet, in which a row has to fit.
    public var rowLimit: Int? { diagnosis.packetLimit.map { $0 - ValueBinds.overhead } }

    /// Runs `body` on a connection of the readers, each statement in a transaction of its own.
    public func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        let connection = try pool.take(.reading)
        defer { pool.give(connection, .reading) }
        do {
            return try body(connection)
        } catch {
            // Nothing to undo, but a failure that was remembered is forgotten.
            connection.rollBack()
            throw error
        }
    }

    /// Runs `body` in a transaction.
    public func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        let connection = try pool.take(.writing)
        defer { pool.give(connection, .writing) }
        do {
            let value = try body(connection)
            try connection.commit()
            return value
        } catch {
            connection.rollBack()
            throw error
        }
    }

    /// Finishes what was taken and closes the connections.
    public func close() async {
        await threads.close()
        pool.close()
    }
}

/// What the servers' settings were found to be; a change is logged once.
private final class ServerDiagnosis: Sendable {
    private let found = Mutex<[String]>([])
    /// 0: not known yet.
    private let packet = Atomic(0)
    private let logger: Logger

    init(_ address: ServerAddress, logger: Logger) {
        self.logger = logger
        if case .hosts(let hosts) = address.place, address.tls == .off, !hosts.allSatisfy(\.isLoopback) {
            logger.warning("The connection to the database is not encrypted (tls=off).")
        }
    }

    var problems: [String] { found.withLock { $0 } }

    var packetLimit: Int? {
        let limit = packet.load(ordering: .relaxed)
        return limit == 0 ? nil : limit
    }

    func note(packet limit: Int) { packet.store(limit, ordering: .relaxed) }

    func note(_ report: ServerReport) {
        note(packet: report.packetLimit)
        let problems = report.problems
        let isNew = found.withLock { found in
            defer { found = problems }
            return found != problems
        }
        guard isNew else { return }
        for problem in problems {
            logger.warning("The database server is not set up safely.", metadata: ["problem": "\(problem)"])
        }
    }
}

extension ServerAddress.Host {
    fileprivate var isLoopback: Bool { name == "localhost" || name.hasPrefix("127.") || name == "::1" }
}
