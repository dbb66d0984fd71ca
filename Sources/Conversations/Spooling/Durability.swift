package import Journal
package import Logging
import Persistence
import Synchronization

/// What makes a store keep its promise while its database does not answer: the spool, the deadlines, and what is known
/// of the database's health.
package final class Durability: Sendable {
    let spool: TurnSpool
    let deadlines: Deadlines
    /// Of the spool's disk.
    let diskDeadlines: Deadlines
    /// Of commits.
    let writes = DatabaseHealth()
    /// Of reads: SQLite still reads while somebody holds the write lock.
    let reads: DatabaseHealth
    /// Why the turns that wait still do: what the database said when they were last tried.
    let replayFailure = Mutex<DatabaseError?>(nil)

    /// Hundredths of a second for the way of the last turns into the spool, which begins when their deadline is told.
    private static let patience = 200

    /// Opens the spool. Blocks while it reads what is there: for the start of the process.
    ///
    /// - Parameter disk: for tests.
    /// - Throws: `JournalError`, whose description names the directory.
    package convenience init(
        _ settings: SpoolSettings, on disk: any JournalFiles = PosixFiles(), logger: Logger
    ) throws {
        try self.init(settings, on: disk, reads: DatabaseHealth(pause: .milliseconds(500)), logger: logger)
    }

    init(_ settings: SpoolSettings, on disk: any JournalFiles, reads: DatabaseHealth, logger: Logger) throws {
        self.reads = reads
        spool = try TurnSpool(settings, on: disk, logger: logger)
        deadlines = Deadlines(settings.commitDeadline)
        diskDeadlines = Deadlines(settings.diskDeadline)
    }

    /// Turns that somebody waits for: they are stored or spooled before the spool is closed.
    let appending = Atomic(0)

    private let stored = Atomic<UInt64>(0)
    /// How many turns the database has stored. Only that says that it takes turns: a change of settings needs fewer rights.
    var storedTurns: UInt64 { stored.load(ordering: .relaxed) }

    /// The database has answered a turn.
    func noteStored(_ outcome: AppendOutcome) {
        if case .stored = outcome { stored.add(1, ordering: .relaxed) }
        writes.noteAnswer()
    }

    /// Ends the waiting for the database, so that what waits for it goes to the spool, and closes that.
    func close() async {
        await deadlines.close()
        for _ in 0..<Self.patience where appending.load(ordering: .acquiring) > 0 {
            try? await Task.sleep(for: .milliseconds(10))
        }
        await diskDeadlines.close()
        await spool.close()
    }
}
