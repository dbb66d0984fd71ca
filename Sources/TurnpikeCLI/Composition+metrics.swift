import Conversations
import Persistence
import PersistenceSQLite
import Server
import TurnpikeKit
import TurnpikeRuntime

/// The numbers of what the composition root makes. Plugins register their own.
extension Composition {
    static func register(_ readiness: Readiness, in metrics: MetricRegistry) {
        metrics.register("turnpike_info", .gauge, "1, with the version as a label.") {
            [MetricRegistry.Sample(1, [("version", Version.text)])]
        }
        metrics.register("turnpike_database_up", .gauge, "Whether the database answers and has its tables.") {
            readiness.missing.contains { $0.part == MigrationService.part } ? 0 : 1
        }
        metrics.register("turnpike_problems", .gauge, "What readyz lists as a problem, by part.") {
            readiness.reports.map { MetricRegistry.Sample(Double($0.problems.count), [("part", $0.part)]) }
        }
    }

    /// Nothing for a server, which counts for itself.
    static func register(_ database: any Database, in metrics: MetricRegistry) {
        guard let database = database as? SQLiteDatabase else { return }
        metrics.register("turnpike_sqlite_steps_total", .counter, "Steps of SQLite's virtual machine.") {
            Double(database.steps)
        }
    }

    static func register(_ store: ConversationStore, in metrics: MetricRegistry) {
        metrics.register("turnpike_lane_pending", .gauge, "What waits to be written to the database.") {
            let pending = store.pending
            return [
                MetricRegistry.Sample(Double(pending.turns), [("lane", "turns")]),
                MetricRegistry.Sample(Double(pending.sessions), [("lane", "sessions")]),
            ]
        }
    }

    /// Nothing where the spool is switched off.
    static func registerSpool(of store: ConversationStore, in metrics: MetricRegistry) {
        guard store.spoolStatus != nil else { return }
        func register(
            _ name: String, _ kind: MetricRegistry.Kind, _ help: String,
            _ value: @escaping @Sendable (SpoolStatus) -> Int
        ) {
            metrics.register("turnpike_spool_\(name)", kind, help) {
                Double(store.spoolStatus.map(value) ?? 0)
            }
        }
        register("turns", .gauge, "Turns that wait to be stored in the database.") { $0.turns }
        register("bytes", .gauge, "Bytes of the spool on the disk.") { $0.bytes }
        register("reserved_bytes", .gauge, "Bytes that are promised to exchanges under way.") { $0.reserved }
        register("limit_bytes", .gauge, "How many both may be (spool.max_size).") { $0.limit }
        register("oldest_seconds", .gauge, "Age of the oldest turn that waits.") { $0.oldestSeconds }
        register("dead_letters", .gauge, "Turns and pieces that were set aside: alarm above 0.") { $0.deadLetters }
        register("spooled_total", .counter, "Turns that were spooled.") { $0.spooledTotal }
        register("replayed_total", .counter, "Spooled turns that were stored.") { $0.replayedTotal }
        register("discarded_total", .counter, "Spooled turns whose session was gone.") { $0.discardedTotal }
        register("refused_total", .counter, "Spooled turns that the database refused.") { $0.refusedTotal }
    }

    static func register(_ servers: [HTTPServer], _ budget: BufferBudget, in metrics: MetricRegistry) {
        metrics.register("turnpike_connections", .gauge, "Open connections of clients.") {
            zip(["clients", "admin"], servers).map { name, server in
                MetricRegistry.Sample(Double(server.connectionCount), [("listener", name)])
            }
        }
        metrics.register("turnpike_buffered_bytes", .gauge, "Bytes of bodies that are held in memory.") {
            Double(budget.usedBytes)
        }
        metrics.register("turnpike_buffered_limit_bytes", .gauge, "How many there may be (server.max_buffered).") {
            Double(budget.limit)
        }
    }
}
