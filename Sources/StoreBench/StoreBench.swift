import ArgumentParser
import Conversations
import Logging
import Persistence
import PersistenceMariaDB
import PersistenceSQLite

/// Measures how fast turns are stored: clients in a closed loop, each of which appends a turn and waits for its commit.
///
/// `scripts/bench-store` starts the databases, runs this for each of them, and makes a table of it.
@main
struct StoreBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Append turns through ConversationStore and print one line of JSON: turns per second and latency.")

    @Option(help: "sqlite:PATH or mariadb://USER@HOST/NAME.") var database: String
    @Option(help: "Turns that wait at once.") var clients = 64
    @Option(help: "Sessions. Each client has its share of them, and chooses one at random.") var sessions = 500
    @Option(help: "Seconds that are measured, behind one that is not.") var seconds = 5.0
    @Option(help: "Most turns in one transaction.") var batch = 256
    @Option(help: "Bytes of sessions in memory; 0: the database is asked for the session of every turn.")
    var memory = 1 << 30
    @Option(help: "Stores, each with connections of its own: two per store write turns to MariaDB.") var stores = 1

    func run() async throws {
        let databases = try (0..<stores).map { _ in try open() }
        let stores = databases.map {
            ConversationStore(database: $0, durability: nil, cacheLimit: memory, limits: limits)
        }
        try await Migrator(ConversationStore.migrations, logger: Self.logger).migrate(databases[0])
        let load = Load(stores: stores, clients: clients, sessions: sessions)
        let (latencies, took) = try await load.run(warmup: .seconds(1), for: .seconds(seconds))
        report(latencies.sorted(), took: took)
        for database in databases { await database.close() }
    }

    private var limits: LaneLimits {
        var limits = LaneLimits()
        limits.batchItems = batch
        return limits
    }

    private func open() throws -> any Database {
        if database.hasPrefix("sqlite:") {
            return try SQLiteDatabase(path: String(database.dropFirst("sqlite:".count)), logger: Self.logger)
        }
        return MariaDBDatabase(try ServerAddress(parsing: database), logger: Self.logger)
    }

    private func report(_ latencies: [Duration], took: Duration) {
        let rate = Double(latencies.count) / (took / .seconds(1))
        func milliseconds(_ part: Double) -> Double {
            guard !latencies.isEmpty else { return 0 }
            let index = min(latencies.count - 1, Int(Double(latencies.count) * part))
            return (latencies[index] / .milliseconds(1) * 1_000).rounded() / 1_000
        }
        print(
            #"{"turns": \#(latencies.count), "per_second": \#(rate.rounded()), "p50_ms": \#(milliseconds(0.5)), "#
                + #""p99_ms": \#(milliseconds(0.99)), "max_ms": \#(milliseconds(1))}"#)
    }

    private static let logger = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
}
