import Synchronization

/// A write that somebody waits for until a deadline: how far it has come, and so what is known of it then.
///
/// What has not reached its COMMIT by the deadline is given up and changes nothing, however long it was in somebody's way.
/// Only of a COMMIT that is under way nobody can say what becomes of it.
package final class WriteAttempt: Sendable {
    private enum State {
        /// For a thread. To: working, givenUp.
        case waiting
        /// Runs its statements, or waits to do them once more. To: committing, givenUp.
        case working
        /// To: working (it was rolled back and is done again), givenUp.
        case committing
        case givenUp
    }

    private let state = Mutex(State.waiting)

    package init() {}

    /// Whether somebody waits for it.
    package var isWanted: Bool { state.withLock { $0 != .givenUp } }

    /// Whether a thread has begun with it.
    package var hasBegun: Bool { state.withLock { $0 != .waiting } }

    /// The transaction begins, perhaps once more.
    ///
    /// - Throws: an error that nobody waits for any more.
    package func begin() throws(DatabaseError) { try move(to: .working) }

    /// Its statements are done.
    ///
    /// - Throws: an error that nobody waits for any more: the transaction must not be committed.
    package func commit() throws(DatabaseError) { try move(to: .committing) }

    private func move(to next: State) throws(DatabaseError) {
        let isWanted = state.withLock { state in
            guard state != .givenUp else { return false }
            state = next
            return true
        }
        if !isWanted { throw DatabaseError(.unavailable, "nobody waits for it any more") }
    }

    /// The deadline is over.
    ///
    /// - Returns: What whoever waited is told.
    package func giveUp() -> DatabaseError {
        let reached = state.withLock { state in
            defer { state = .givenUp }
            return state
        }
        switch reached {
        case .waiting: return DatabaseError(.overloaded, "the writers did not come to it in time")
        // It may be this one that is slow: nothing is said about the database.
        case .working: return DatabaseError(.retryTransaction, "it was given up: its statements took too long")
        case .committing, .givenUp: return DatabaseError(.unknownAtCommit, "COMMIT was not answered in time")
        }
    }
}
