import Persistence
import Synchronization

/// What this process changed, and whether what an exchange took a session to be still holds.
extension SessionCache {
    /// Whether a session is as an exchange took it to be, but for what this process has changed since.
    ///
    /// - Parameter version: as the database has it now; nil: it has no such session.
    func holds(_ premise: Premise, of key: SessionKey, at version: Int64?) -> Bool {
        if version == premise.version { return true }
        return state.withLock { state in
            // Erasing takes sessions away, and changes none.
            if version == nil, state.overtaken > premise.since { return true }
            return state.changes.explain(premise, of: key, version)
        }
    }

    /// The database has told what became of a turn of this process: before anything else is done with its session.
    func noteStored(_ key: SessionKey, _ outcome: AppendOutcome) {
        state.withLock { state in
            switch outcome {
            case .stored(let stored): noteChange(key, &state) { changes, _ in changes.note(stored.version) }
            case .alreadyStored: noteChange(key, &state) { changes, time in changes.noteFound(at: time) }
            case .sessionDeleted, .changedByOthers, .spooled: break
            }
        }
    }

    /// What is about to be written may be seen in the database before `end` is called.
    ///
    /// - Returns: What to call it by.
    func begin(_ scope: WrittenScope) -> UInt64 {
        state.withLock { state in
            state.clock += 1
            state.changes.begin(scope, at: state.clock)
            return state.clock
        }
    }

    /// - Parameter changes: of the transaction, before it is committed.
    func note(_ changes: [VersionChange], ofWrite write: UInt64) {
        state.withLock { $0.changes.note(changes, ofWrite: write) }
    }

    /// Forgets what was written.
    ///
    /// - Parameter hasChanged: Whether anything may have been.
    func end(_ write: UInt64, _ scope: WrittenScope, hasChanged: Bool) {
        scope.forget(in: self)
        state.withLock { state in
            let changes = state.changes.end(write)
            guard hasChanged else { return }
            for change in changes { noteChange(change.key, &state) { $0.note(change, at: $1) } }
        }
    }
}
