package import Conversations
package import Logging
import Persistence
import ServiceLifecycle

/// Stores what waits in the spool while the process runs, and gives the directory up at its end: after the last
/// exchange, before the database is closed.
package struct SpoolService: Service {
    /// What `readyz` calls it.
    package static let part = "spool"

    private let store: ConversationStore
    private let logger: Logger
    private let arrival: @Sendable () async -> Void

    /// - Parameter arrival: returns when the process may write to the database, or its task is cancelled.
    package init(
        _ store: ConversationStore, readiness: Readiness, logger: Logger,
        arrival: @escaping @Sendable () async -> Void = {}
    ) {
        self.store = store
        self.arrival = arrival
        self.logger = logger
        guard store.spoolStatus != nil else { return }
        readiness.addReporter { [store] in store.spoolStatus.map(Self.report) ?? Readiness.Report(Self.part) }
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { [store, logger, arrival] in
            await arrival()
            await store.replaySpool(logger: logger)
            try? await gracefulShutdown()
        }
        await store.closeSpool()
    }

    static func report(_ status: SpoolStatus) -> Readiness.Report {
        var report = Readiness.Report(Self.part)
        if status.deadLetters > 0 {
            report.problems.append("\(status.deadLetters) turns or pieces were set aside: see `turnpike spool list`")
        }
        if let failure = status.failure { report.problems.append("the disk failed: \(failure)") }
        if let problem = problem(ofDatabase: status) { report.problems.append(problem) }
        report.numbers = [
            ("turns", status.turns), ("bytes", status.bytes), ("reserved", status.reserved),
            ("oldest_seconds", status.oldestSeconds), ("dead_letters", status.deadLetters),
        ]
        return report
    }

    private static func problem(ofDatabase status: SpoolStatus) -> String? {
        let failure = status.turns > 0 ? status.replayFailure : nil
        // One that refuses has answered, so the database counts as there, and nothing else says why turns wait.
        if let failure, !failure.isSilence { return "the database refuses turns, which wait: \(failure.diagnosis)" }
        guard status.isBypassingDatabase else { return nil }
        return "the database does not take turns; they are spooled" + (failure.map { ": \($0.diagnosis)" } ?? "")
    }
}
