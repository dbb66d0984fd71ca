import Journal
package import Logging
import Persistence
import Synchronization

extension ConversationStore {
    /// What an operator is told about the spool; nil without one.
    package var spoolStatus: SpoolStatus? {
        guard let durability else { return nil }
        var status = durability.spool.status
        status.isBypassingDatabase = !durability.writes.isAnswering
        status.replayFailure = durability.replayFailure.withLock { $0 }
        return status
    }

    // MARK: Erasing

    /// Erases what waits of a session in the spool, and what is known of it in memory.
    package func discard(session key: SessionKey) async { await discard(sessions: [key]) }

    /// The same for several.
    func discard(sessions keys: Set<SessionKey>) async {
        for key in keys { cache.drop(key) }
        await durability?.spool.discard { keys.contains($0) }
    }

    // MARK: Replaying

    /// Stores what waits in the spool, as long as the task lives.
    package func replaySpool(logger: Logger) async {
        guard let durability else { return }
        let replay = TurnReplay(store: self, durability: durability, logger: logger)
        await replay.run()
    }

    /// Stores what waits in the spool, once, for a command.
    ///
    /// - Returns: How many turns were stored or discarded.
    /// - Throws: `DatabaseError` when the database does not take them.
    package func drainSpool(logger: Logger) async throws -> Int {
        guard let durability else { return 0 }
        return try await TurnReplay(store: self, durability: durability, logger: logger).drain()
    }

    /// Gives the spool up; what waits in it stays there. Before the database is closed.
    package func closeSpool() async { await durability?.close() }
}
