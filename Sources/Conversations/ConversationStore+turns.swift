import Journal
import Persistence
import Synchronization

extension ConversationStore {
    // MARK: Room

    /// Reserves room in the spool for a turn whose new messages are part of a request of `count` bytes, and for the
    /// beginning of its answer. The room grows with the answer: `TurnRoom.cover`.
    ///
    /// - Throws: `TurnRoomError`. Without a spool there is always room.
    package func reserveRoom(forRequestOf count: Int) throws(TurnRoomError) -> TurnRoom {
        guard let durability else { return TurnRoom() }
        CrashPoint.beforeReserve.pass()
        let request = TurnRoom.size(ofRequest: count)
        let answer = TurnRoom.size(ofAnswer: durability.spool.settings.reserve, messages: TurnRoom.usualMessages)
        let reservation = try durability.spool.reserve(request + answer)
        CrashPoint.afterReserve.pass()
        return TurnRoom(reservation, request: request, writes: durability.writes)
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
        do { return try await store(turn, in: room) } catch let error as DatabaseError {
            // It may be stored all the same, and later.
            if error.failure != .overloaded, error.failure != .data { soleUse.suspend() }
            throw error
        }
    }

    private func store(_ turn: TurnDraft, in room: TurnRoom?) async throws -> AppendOutcome {
        CrashPoint.beforeLane.pass()
        guard let durability else { return try await commit(turn) }
        durability.appending.add(1, ordering: .relaxed)
        defer { durability.appending.subtract(1, ordering: .releasing) }
        let outcome: AppendOutcome
        if durability.spool.holds(turn.key) || !mayCommit(durability) {
            outcome = try await keep(turn, in: room, durability)
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
            durability.noteStored(outcome)
            return outcome
        } catch let error as DatabaseError where error.isOutage {
            if error.isSilence { durability.writes.noteSilence() }
            return try await keep(turn, in: room, durability)
        }
    }

    /// Writes through the lane. A commit that does not answer in time goes on, and may still happen.
    func commit(_ turn: TurnDraft) async throws -> AppendOutcome {
        try await attend()
        let answer = FirstAnswer<AppendOutcome>()
        let lane = try enqueue(turn, answer)
        let deadline = addDeadline(answer)
        if let lane {
            await Task.yield()
            lane.wake()
        }
        await answer.arrival.wait()
        deadline?.cancel()
        let outcome = try answer.take()
        CrashPoint.afterCommit.pass()
        note(outcome, of: turn)
        return outcome
    }

    private func enqueue(
        _ turn: TurnDraft, _ answer: FirstAnswer<AppendOutcome>
    ) throws -> TransactionLane<TurnDraft, AppendOutcome>.Sleeper? {
        var direct = turn.placedByNumber
        direct.trial = FirstTrial()
        return try turns.place(direct) { [self] result in
            noteOwn(result, of: turn.key)
            // Nobody waits any more, and memory that is believed unasked would not hear of it.
            if !answer.give(result), soleUse.isWanted, case .success = result { cache.doubt(turn.key) }
        }
    }

    /// What memory has to know of a turn before anything else is done with its session, where it is believed unasked.
    func noteOwn(_ result: Result<AppendOutcome, any Error>, of key: SessionKey) {
        guard soleUse.isWanted, case .success(let outcome) = result else { return }
        if outcome == .changedByOthers { soleUse.giveUp() }
        cache.noteStored(key, outcome)
    }

    /// Leaves the turn in the spool. A disk that hangs holds nobody up for longer than its deadline.
    private func keep(
        _ turn: TurnDraft, in room: TurnRoom?, _ durability: Durability
    ) async throws -> AppendOutcome {
        let answer = FirstAnswer<AppendOutcome>()
        // What comes late is in the spool all the same: memory follows the spool, and not whoever waits.
        durability.spool.append(turn, from: room) { [cache, now] result in
            if case .success = result { cache.append(turn, nil, at: now()) }
            answer.give(result.map { .spooled }.mapError { Self.notKept("\($0)") })
        }
        durability.diskDeadlines.add { answer.give(.failure(Self.notKept("its disk did not answer in time"))) }
        await answer.arrival.wait()
        return try answer.take()
    }

    private static func notKept(_ reason: String) -> DatabaseError {
        DatabaseError(.unavailable, "neither the database nor the spool keeps the turn: \(reason)")
    }

    private func note(_ outcome: AppendOutcome, of turn: TurnDraft) {
        switch outcome {
        case .stored(let stored): cache.append(turn.placedByNumber, stored, at: now())
        // The answer to the first COMMIT was lost, and nobody knows what became of the session's version.
        case .alreadyStored(let firstSeq): cache.append(turn, foundAt: firstSeq, at: now())
        case .sessionDeleted, .changedByOthers: cache.drop(turn.key)
        case .spooled: break
        }
    }
}

extension TurnDraft {
    /// As the database places it, and memory behind it: it was planned on what that holds, so that its numbers are enough.
    fileprivate var placedByNumber: TurnDraft {
        var turn = self
        turn.baseTurn = knownTurn
        turn.knownTurn = nil
        return turn
    }
}
