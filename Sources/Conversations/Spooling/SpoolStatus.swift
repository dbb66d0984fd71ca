package import Persistence

/// What an operator is told about the spool: for metrics, `readyz` and `turnpike spool`.
package struct SpoolStatus: Sendable, Equatable {
    /// Turns that wait to be stored.
    package var turns = 0
    /// Bytes on the disk.
    package var bytes = 0
    /// Bytes that are promised to exchanges under way.
    package var reserved = 0
    /// `spool.max_size`.
    package var limit = 0
    /// When the oldest waiting turn was spooled.
    package var oldest: Timestamp?
    /// What was set aside because the database refused it, or could not be read. Not zero is an alarm.
    package var deadLetters = 0
    /// Turns that this process spooled, replayed, discarded because their session was gone, and set aside since it
    /// started.
    package var spooledTotal = 0
    package var replayedTotal = 0
    package var discardedTotal = 0
    package var refusedTotal = 0
    /// Whether turns go straight to the spool, because the database did not answer.
    package var isBypassingDatabase = false
    /// Why the database did not take the turns that wait, when they were last tried.
    package var replayFailure: DatabaseError?
    /// What the disk said last, if that was a failure.
    package var failure: String?

    /// How old the oldest waiting turn is, in seconds; 0 where none waits.
    package var oldestSeconds: Int {
        oldest.map { Int(max(0, Timestamp.now().microseconds - $0.microseconds) / 1_000_000) } ?? 0
    }
}
