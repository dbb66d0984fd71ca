package import Journal
package import Logging

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
    let reads = DatabaseHealth(pause: .milliseconds(500))

    /// Opens the spool. Blocks while it reads what is there: for the start of the process.
    ///
    /// - Parameter disk: for tests.
    /// - Throws: `JournalError`, whose description names the directory.
    package init(_ settings: SpoolSettings, on disk: any JournalFiles = PosixFiles(), logger: Logger) throws {
        spool = try TurnSpool(settings, on: disk, logger: logger)
        deadlines = Deadlines(settings.commitDeadline)
        diskDeadlines = Deadlines(settings.diskDeadline)
    }

    func close() async {
        await deadlines.close()
        await diskDeadlines.close()
        await spool.close()
    }
}
