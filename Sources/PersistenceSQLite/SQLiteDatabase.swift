internal import GRDB
public import Logging
public import Persistence
import Synchronization

/// SQLite in one file: the embedded default.
///
/// - WAL with `synchronous=FULL`: a committed transaction survives the loss of power. Both are read back at opening.
/// - One writer. Every lane and every `write` takes its turn on it; batches keep the commits few.
/// - Readers do not wait for the writer.
/// - A second process may use the same file (`turnpike keys create` beside `turnpike serve`): its writes take turns
///   with ours, each waits up to `busyTimeout` and is then tried again. A file on a network file system is not
///   supported: WAL needs shared memory.
/// - A file that is removed or replaced under the process is noticed at the next transaction: from then on the database is
///   unavailable, until the file is back or the process is started anew. It is never made or opened anew by itself,
///   because a `-wal` that belongs to another file would be applied to it.
public final class SQLiteDatabase: Persistence.Database {
    /// How the file is opened.
    public struct Configuration: Sendable {
        /// Reader threads, each with a connection.
        public var readers = 4
        /// How long a statement waits for another process.
        public var busyTimeout: Duration = .seconds(2)
        /// How long callers that wait ``Waiting/promptly`` do so while nobody is answered.
        public var patience: Duration = .seconds(10)

        /// The defaults.
        public init() {}
    }

    /// SQLite's dialect.
    public var dialect: Dialect { .sqlite }
    /// The threads on which accesses run.
    public let threads: DatabaseThreads

    private enum Opening {
        case closed
        case open(DatabasePool, FileWatch)
        case over
    }

    /// Steps of SQLite's virtual machine that all accesses together have taken: what looking at rows has cost.
    package var steps: Int { taken.load(ordering: .relaxed) }

    private let taken = Atomic(0)
    private let path: String
    private let configuration: Configuration
    private let logger: Logger
    /// Held while the file is opened: only the database's own threads wait for it.
    private let state = Mutex(Opening.closed)

    /// Opens the file, and makes it (mode 0600) and its directory (0700) where they are missing.
    ///
    /// It blocks for a few milliseconds: call it at the start, not in an exchange.
    /// - Throws: `DatabaseError` when the file cannot be opened, is not a database, or is not durable.
    public convenience init(path: String, configuration: Configuration = Configuration(), logger: Logger) throws {
        self.init(openingOnUse: path, configuration: configuration, logger: logger)
        do {
            _ = try opened()
        } catch {
            threads.abandon()
            throw SQLiteFailure.translated(error)
        }
    }

    /// Opens the file when it is first used, on a thread of the database's own, and tries again at each use until it
    /// can: for a server, which starts although its database is away.
    public init(openingOnUse path: String, configuration: Configuration = Configuration(), logger: Logger) {
        self.path = path
        self.configuration = configuration
        self.logger = logger
        threads = DatabaseThreads(
            "sqlite", readers: configuration.readers, writers: 1, shards: 1, patience: configuration.patience)
    }

    /// Runs `body` on a pooled reader, outside of a transaction.
    public func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        do {
            let (pool, watch) = try opened()
            try watch.glance()
            return try pool.unsafeRead { handle in
                let connection = SQLiteConnection(handle)
                defer { note(connection) }
                return try body(connection)
            }
        } catch {
            throw SQLiteFailure.translated(error)
        }
    }

    /// Runs `body` in a transaction that holds the write lock from its beginning.
    public func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        do {
            let (pool, watch) = try opened()
            return try pool.writeWithoutTransaction { handle in
                try watch.look()
                let connection = SQLiteConnection(handle)
                defer { note(connection) }
                try connection.begin()
                let value: Value
                do {
                    value = try body(connection)
                } catch {
                    connection.rollBack()
                    throw error
                }
                try connection.commit()
                // What went into a file that nobody will open again is not stored.
                try watch.look(afterCommit: true)
                return value
            }
        } catch {
            throw SQLiteFailure.translated(error)
        }
    }

    private func note(_ connection: SQLiteConnection) { taken.add(connection.steps, ordering: .relaxed) }

    /// Finishes what was taken and closes the file.
    public func close() async {
        await threads.close()
        let pool = state.withLock { state -> DatabasePool? in
            defer { state = .over }
            guard case .open(let pool, _) = state else { return nil }
            return pool
        }
        // Fails only while a connection is in use: by a thread of a lane that was given up, at the end of the process.
        try? pool?.close()
    }

    /// That the file is gone, if it is.
    public var problems: [String] {
        guard case .open(_, let watch) = state.withLock({ $0 }) else { return [] }
        return watch.problem.map { [$0] } ?? []
    }

    private func opened() throws -> (DatabasePool, FileWatch) {
        try state.withLock { state in
            switch state {
            case .open(let pool, let watch): return (pool, watch)
            case .over: throw Persistence.DatabaseError(.unavailable, "the database is closed")
            case .closed:
                try SQLiteFile.prepare(path)
                let pool = try DatabasePool(path: path, configuration: Self.settings(configuration))
                try Self.makeDurable(pool)
                let watch = try FileWatch(path)
                logger.debug("The database is open.", metadata: ["path": "\(path)"])
                state = .open(pool, watch)
                return (pool, watch)
            }
        }
    }

    private static func settings(_ configuration: Configuration) -> GRDB.Configuration {
        var settings = GRDB.Configuration()
        let (seconds, attoseconds) = configuration.busyTimeout.components
        settings.busyMode = .timeout(Double(seconds) + Double(attoseconds) / 1e18)
        settings.maximumReaderCount = configuration.readers
        settings.persistentReadOnlyConnections = true
        settings.foreignKeysEnabled = false
        settings.prepareDatabase { handle in
            // A WAL that grew in a burst is cut back to 64 MB at the next checkpoint.
            try handle.execute(sql: "PRAGMA journal_size_limit = 67108864")
        }
        return settings
    }

    /// GRDB sets `synchronous=NORMAL` after `prepareDatabase`, so it is set here, and read back.
    private static func makeDurable(_ pool: DatabasePool) throws {
        let (mode, journal) = try pool.writeWithoutTransaction { handle in
            try handle.execute(sql: "PRAGMA synchronous = FULL")
            // Pages that many turns touch are copied once per checkpoint: 16 MB of WAL instead of SQLite's 4 MB make
            // 20 % fewer fsyncs and 10 % fewer writes at 64 turns at once (counted with strace).
            try handle.execute(sql: "PRAGMA wal_autocheckpoint = 4000")
            return (
                try Int.fetchOne(handle, sql: "PRAGMA synchronous"),
                try String.fetchOne(handle, sql: "PRAGMA journal_mode")
            )
        }
        guard mode == 2, journal == "wal" else {
            throw Persistence.DatabaseError(.refuse, "the file cannot be written durably (WAL, synchronous=FULL)")
        }
    }
}
