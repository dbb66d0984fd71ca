import Conversations
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

    static func register(_ store: ConversationStore, in metrics: MetricRegistry) {
        metrics.register("turnpike_lane_pending", .gauge, "What waits to be written to the database.") {
            let pending = store.pending
            return [
                MetricRegistry.Sample(Double(pending.turns), [("lane", "turns")]),
                MetricRegistry.Sample(Double(pending.sessions), [("lane", "sessions")]),
            ]
        }
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
