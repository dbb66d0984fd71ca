import Journal
import Persistence

extension ConversationStore {
    // MARK: Room

    /// Reserves room in the spool for a turn whose new messages are part of a request of `count` bytes, and for the
    /// beginning of its answer. A longer answer takes more room when it is there.
    ///
    /// - Throws: `TurnRoomError`. Without a spool there is always room.
    package func reserveRoom(forRequestOf count: Int) throws(TurnRoomError) -> TurnRoom {
        guard let durability else { return TurnRoom(nil) }
        CrashPoint.beforeReserve.pass()
        // A message of a few bytes takes a hundred more in the spool.
        let room = try durability.spool.reserve(count + count / 4 + 4_096 + durability.spool.settings.reserve)
        CrashPoint.afterReserve.pass()
        return room
    }

    // MARK: Appending

    /// Stores a turn; returns after the commit, or when the turn is safe in the spool.
    ///
    /// A failed call may be repeated with the same draft: what an earlier attempt stored is found by the turn's id.
    /// - Throws: `DatabaseError`; `ConversationError.invalid` for a turn without messages or with a value too long.
    public func append(_ turn: TurnDraft) async throws -> AppendOutcome { try await append(turn, in: nil) }

    /// - Parameter room: What was reserved for the turn.
    package func append(_ turn: TurnDraft, in room: TurnRoom?) async throws -> AppendOutcome {
        try turn.validate()
        CrashPoint.beforeLane.pass()
        guard let durability else { return try await commit(turn) }
        let outcome: AppendOutcome
        if durability.spool.holds(turn.key) || !mayCommit(durability) {
            outcome = try await keep(turn, in: room, durability, after: nil)
        } else {
            outcome = try await commit(turn, orKeepIn: room, durability)
        }
        CrashPoint.beforeRelease.pass()
        return outcome
    }

    /// In an outage the replay finds out when the database is back; where nothing waits, an exchange does.
    private func mayCommit(_ durability: Durability) -> Bool {
        if durability.writes.isAnswering { return true }
        return durability.spool.isEmpty && durability.writes.mayTry()
    }

    private func commit(_ turn: TurnDraft, orKeepIn room: TurnRoom?, _ durability: Durability) async throws
        -> AppendOutcome
    {
        do {
            let outcome = try await commit(turn)
            durability.writes.noteAnswer()
            return outcome
        } catch let error as DatabaseError where error.isOutage {
            durability.writes.noteSilence()
            return try await keep(turn, in: room, durability, after: error)
        }
    }

    /// Writes through the lane. A commit that does not answer in time goes on, and may still happen.
    func commit(_ turn: TurnDraft) async throws -> AppendOutcome {
        let answer = FirstAnswer<AppendOutcome>()
        try enqueue(turn, answer)
        await answer.arrival.wait()
        let outcome = try answer.take()
        CrashPoint.afterCommit.pass()
        note(outcome, of: turn)
        return outcome
    }

    private func enqueue(_ turn: TurnDraft, _ answer: FirstAnswer<AppendOutcome>) throws {
        var direct = turn
        // It was planned on what the database holds, so that its numbers are enough.
        direct.knownTurn = nil
        direct.baseTurn = turn.knownTurn
        try turns.enqueue(direct) { answer.give($0) }
        addDeadline(answer)
    }

    /// Leaves the turn in the spool.
    ///
    /// - Parameter error: Why it is not committed.
    private func keep(
        _ turn: TurnDraft, in room: TurnRoom?, _ durability: Durability, after error: DatabaseError?
    ) async throws -> AppendOutcome {
        do {
            try await durability.spool.append(turn, from: room)
        } catch {
            throw DatabaseError(.unavailable, "neither the database nor the spool keeps the turn: \(error)")
        }
        cache.append(turn, nil, at: now())
        return .spooled
    }

    private func note(_ outcome: AppendOutcome, of turn: TurnDraft) {
        switch outcome {
        case .stored(let stored): cache.append(turn, stored, at: now())
        case .sessionDeleted: cache.drop(turn.key)
        case .alreadyStored, .spooled: break
        }
    }
}
