import Persistence

/// The sessions of a batch as memory has them, taken for what the database has.
///
/// The first attempt of a batch need not ask then: the rows are changed at once, each on condition that it is as it was taken
/// to be. That locks them, in the order of their keys as always, and checks them, on the same trip to the server as all else
/// that is written. Where a row has changed meanwhile, is gone, or was left out by the server, too few are changed: the
/// transaction fails (`BulkStatement.Effect.one`) and is done again, and the second attempt asks.
///
/// Only what needs no more than the row is done so: turns that supersede nothing and stand directly behind what their
/// exchanges knew, one of each session.
struct SessionClaim {
    /// The session as the database had it when it was last heard of, given to one turn at a time; nil: unknown.
    typealias Memory = @Sendable (SessionKey) -> Session?

    /// As they are taken to be.
    let sessions: [SessionKey: Session]

    /// - Parameter turns: None of them may be stored already.
    /// - Returns: Nil where the database has to be asked.
    init?(_ turns: [TurnDraft], _ dialect: Dialect, from memory: Memory) {
        // SQLite is in the process, and asking it is cheap; nor does it count what a bulk statement changes.
        guard dialect == .mariadb else { return nil }
        var sessions = [SessionKey: Session](minimumCapacity: turns.count)
        for turn in turns {
            guard sessions[turn.key] == nil, turn.supersedes == Supersession(), let session = memory(turn.key),
                session.nextSeq == turn.baseSeq, session.attempt(repeatedBy: turn) == nil
            else { return nil }
            sessions[turn.key] = session
        }
        self.sessions = sessions
    }

    /// Changes the rows to what they are to be. One that stays as it is, as nothing of its turn is stored, counts as none that
    /// was changed: that a premise does not hold is for the database to say.
    func write(_ changed: [SessionKey: Session]) -> BulkWrite {
        let rows = BulkRows(width: ConversationSQL.claimSessions.width, capacity: sessions.count * 320)
        for key in sessions.keys.sorted() {
            guard let before = sessions[key], let after = changed[key] else { continue }
            ConversationSQL.append(after, to: rows)
            ConversationSQL.append(condition: before, to: rows)
        }
        return BulkWrite(ConversationSQL.claimSessions, rows: rows)
    }
}
