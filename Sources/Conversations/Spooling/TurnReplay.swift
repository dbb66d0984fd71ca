import Journal
import Logging
import Persistence
import Synchronization

/// Stores the turns of the spool, in order within each session, exactly once.
///
/// A turn that was committed although nobody heard of it is found by its id. A turn is appended behind what others
/// committed meanwhile and supersedes none of it. What the database refuses as data is set aside and blocks nothing; what
/// it refuses for another reason is tried again, until it has taken so much else meanwhile that the turn must be the
/// reason.
struct TurnReplay: Sendable {
    let store: ConversationStore
    let durability: Durability
    let logger: Logger

    private enum End {
        case done(SpoolIndex.Turn)
        case setAside
        case later(DatabaseError)
    }

    /// Pauses between attempts while the database does not take anything.
    private static let pauses: [Duration] = [.milliseconds(100), .milliseconds(250), .milliseconds(500), .seconds(1)]

    /// Replays whatever arrives, until the task is cancelled.
    func run() async {
        var failures = 0
        // What was told since the spool was last empty: once for each kind, because a turn may fail for hours.
        var told: Set<DatabaseError.Failure> = []
        for await _ in durability.spool.arrivals {
            while !Task.isCancelled {
                let batch = durability.spool.takeForReplay()
                if batch.isEmpty { break }
                guard let error = await replay(batch).error else {
                    failures = 0
                    continue
                }
                if told.insert(error.failure).inserted {
                    logger.warning(
                        "The spool waits for the database.", metadata: ["error": "\(String(reflecting: error))"])
                }
                failures += 1
                let pause = Self.pauses[min(failures, Self.pauses.count) - 1]
                try? await Task.sleep(for: pause * Double.random(in: 0.75...1.25))
            }
            guard !Task.isCancelled else { return }
            // Also where what waited was erased.
            durability.replayFailure.withLock { $0 = nil }
            if !told.isEmpty { logger.notice("The spool is empty again.") }
            (failures, told) = (0, [])
        }
    }

    /// Replays all that waits, once.
    func drain() async throws -> Int {
        var count = 0
        while true {
            let batch = durability.spool.takeForReplay()
            if batch.isEmpty { return count }
            let (done, error) = await replay(batch)
            count += done
            if let error { throw error }
        }
    }

    /// Replays turns of different sessions at once, so that they share transactions, and their acknowledgement.
    private func replay(
        _ batch: [(turn: SpoolIndex.Turn, hasDiverged: Bool)]
    ) async -> (done: Int, error: DatabaseError?) {
        var done: [SpoolIndex.Turn] = []
        var failure: DatabaseError?
        var isSilent = false
        await withTaskGroup(of: End.self) { group in
            for (turn, hasDiverged) in batch { group.addTask { await replay(turn, hasDiverged: hasDiverged) } }
            for await end in group {
                switch end {
                case .done(let turn): done.append(turn)
                case .setAside: break
                case .later(let error):
                    failure = error
                    isSilent = isSilent || error.isSilence
                }
            }
        }
        durability.replayFailure.withLock { $0 = failure }
        await durability.spool.acknowledge(done)
        if failure == nil, !done.isEmpty { durability.writes.noteAnswer() }
        // One that refuses a turn takes those of others all the same.
        if isSilent, done.isEmpty { durability.writes.noteSilence() }
        return (done.count, failure)
    }

    private func replay(_ turn: SpoolIndex.Turn, hasDiverged: Bool) async -> End {
        do {
            guard var draft = try await durability.spool.draft(turn) else {
                durability.spool.forget(turn)
                return .done(turn)
            }
            // Not even its own turn is newer than what it knows: it is appended, and supersedes nothing.
            if hasDiverged { draft.knownTurn = .after(turn.id) }
            CrashPoint.beforeReplay.pass()
            try await store.attend()
            let outcome = try await commit(draft)
            CrashPoint.afterReplay.pass()
            note(outcome, of: draft)
            durability.noteStored(outcome)
            durability.reads.noteAnswer()
            if outcome == .sessionDeleted { durability.spool.discard(turn) } else { durability.spool.finish(turn) }
            return .done(turn)
        } catch {
            return await fail(turn, error)
        }
    }

    /// Stores a turn. At the end of the process it is not waited for any longer: it stays in the spool, and whether it was
    /// stored is found out by the next process.
    private func commit(_ draft: TurnDraft) async throws -> AppendOutcome {
        let answer = FirstAnswer<AppendOutcome>()
        try store.turns.enqueue(draft) { [store] result in
            store.noteOwn(result, of: draft.key)
            answer.give(result)
        }
        await withTaskCancellationHandler {
            await answer.arrival.wait()
        } onCancel: {
            answer.give(.failure(DatabaseError(.unavailable, "the process ends")))
        }
        return try answer.take()
    }

    private func fail(_ turn: SpoolIndex.Turn, _ error: any Error) async -> End {
        if let reason = transient(error), !isOfTheTurn(turn, error) {
            durability.spool.putBack(turn)
            return .later(reason)
        }
        // Refused as data, again and again, or unreadable: it would be refused for ever.
        store.cache.drop(turn.key)
        await durability.spool.setAside(turn, because: Self.reason(error))
        // Who read the session before the turn was out of the spool has kept it with the turn.
        store.cache.drop(turn.key)
        return .setAside
    }

    /// The error of what may succeed later; nil where it never will.
    private func transient(_ error: any Error) -> DatabaseError? {
        switch error {
        case let error as DatabaseError where error.isOutage: error
        case let error as JournalError where error.failure != .damaged:
            DatabaseError(.unavailable, "the spool cannot be read: \(error)")
        default: nil
        }
    }

    /// Whether the database refuses the turn, and not turns.
    private func isOfTheTurn(_ turn: SpoolIndex.Turn, _ error: any Error) -> Bool {
        guard let error = error as? DatabaseError, error.failure == .refuse, error.cause != .setup else { return false }
        return durability.spool.refuse(turn, whenStored: durability.storedTurns)
    }

    /// Forgets what was counted on in memory where the turn came out otherwise.
    private func note(_ outcome: AppendOutcome, of draft: TurnDraft) {
        let expected = store.cache.snapshot(draft.key)?.firstSeq(of: draft.id)
        switch outcome {
        case .stored(let stored) where stored.firstSeq == expected && stored.superseded.isAsForeseen:
            store.cache.confirm(draft.key, stored)
        case .alreadyStored(let firstSeq) where firstSeq == expected: store.cache.noteFound(draft.key, at: firstSeq)
        case .stored, .alreadyStored, .sessionDeleted, .changedByOthers, .spooled:
            store.cache.drop(draft.key)
            if expected != nil { durability.spool.diverge(draft.key) }
        }
    }

    private static func reason(_ error: any Error) -> String {
        (error as? DatabaseError)?.debugDescription ?? String(describing: error)
    }
}

extension SupersessionOutcome {
    /// Whether a turn that was spooled did what memory shows of it.
    fileprivate var isAsForeseen: Bool {
        switch self {
        case .notAsked, .done: true
        case .appendedInstead, .doneInPart, .overtaken: false
        }
    }
}
