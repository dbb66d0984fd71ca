import Persistence
import Synchronization

/// Sessions in memory, the least recently used of them dropped beyond a bound of bytes.
///
/// A snapshot is good for a version of its session: it is used after the version was read from the database, or without
/// that while the database does not answer or nobody else uses it (``SoleUse``). Filled by what exchanges read, and by what
/// this process stores.
final class SessionCache: Sendable {
    /// What a client calls a session, other than by the server's id.
    enum Name: Hashable {
        case external(UniqueID, ExactText)
        case conversation(UniqueID, agent: ExactText, ExactText)
    }

    /// A reference, touched under the lock only: looking a session up copies a word.
    final class Entry {
        var snapshot: SessionSnapshot
        var bytes: Int
        var used: UInt64
        /// A turn is on its way of which the snapshot does not know.
        var isClaimed: Bool
        /// When it was last known to be as the database has it. What this process does since, it follows.
        var asked: UInt64

        init(_ snapshot: SessionSnapshot, bytes: Int, used: UInt64, asked: UInt64, isClaimed: Bool) {
            self.snapshot = snapshot
            self.bytes = bytes
            self.used = used
            self.asked = asked
            self.isClaimed = isClaimed
        }
    }

    struct State {
        var entries: [SessionKey: Entry] = [:]
        var names: [Name: SessionKey] = [:]
        var bytes = 0
        var clock: UInt64 = 0
        /// What this process changed: a reading which began before is not kept.
        var changes = OwnChanges()
        /// No reading that began before this is kept: a user was erased.
        var overtaken: UInt64 = 0
        /// The latest of the times in which this process is alone, see ``SoleUse/period``.
        var period: UInt64 = 0
        /// When that was first heard of: what was asked for before may have been changed by others since.
        var periodStart: UInt64 = 0
    }

    private let limit: Int
    let state = Mutex(State())

    /// - Parameter limit: bytes; 0 keeps nothing.
    init(limit: Int) { self.limit = limit }

    var isOff: Bool { limit == 0 }

    /// How many bytes of bodies are kept of one session.
    var limitOfOne: Int { limit / 4 }

    var byteCount: Int { state.withLock { $0.bytes } }

    /// The sessions that are in memory.
    var keys: Set<SessionKey> { state.withLock { Set($0.entries.keys) } }

    // MARK: Reading

    /// The snapshot of a session as an exchange has read it.
    ///
    /// A provisional version is good only for whoever was given that very session: the database may have another change
    /// at the same version.
    func snapshot(of session: Session) -> SessionSnapshot? {
        guard let snapshot = snapshot(session.key), snapshot.session.version == session.version,
            snapshot.isConfirmed || snapshot.session == session
        else { return nil }
        return snapshot
    }

    /// What is known of a session, whether or not it is still so.
    func snapshot(_ key: SessionKey) -> SessionSnapshot? {
        state.withLock { state in
            guard let entry = state.entries[key] else { return nil }
            state.clock += 1
            entry.used = state.clock
            return entry.snapshot
        }
    }

    /// What is known of a session, whether or not it is still so.
    func snapshot(_ lookup: SessionLookup) -> SessionSnapshot? {
        guard let key = state.withLock({ Self.key(lookup, $0) }) else { return nil }
        return snapshot(key)
    }

    /// What is known of a session, where nobody else can have changed it since it was asked for.
    ///
    /// - Parameter period: in which this process is alone.
    func snapshot(_ lookup: SessionLookup, askedIn period: UInt64) -> SessionSnapshot? {
        state.withLock { state in
            state.clock += 1
            if period > state.period { (state.period, state.periodStart) = (period, state.clock) }
            guard let key = Self.key(lookup, state), let entry = state.entries[key], entry.asked >= state.periodStart
            else { return nil }
            entry.used = state.clock
            return entry.snapshot
        }
    }

    private static func key(_ lookup: SessionLookup, _ state: State) -> SessionKey? {
        switch lookup {
        case .reference(let reference, let owner):
            let own = reference.id.map { SessionKey(owner: owner, session: $0) }
            if let own, state.entries[own] != nil { return own }
            return state.names[.external(owner, ExactText(reference.text))]
        case .draft(let draft):
            let names = names(draft.key.owner, draft.externalID, draft.conversation)
            return names.compactMap { state.names[$0] }.first
        }
    }

    // MARK: Writing

    /// The session as the database had it when this process last heard of it, for a turn that is about to be stored.
    ///
    /// Given once: until that turn is followed, here or by the reading of a later version, memory is behind the database.
    /// Nil: it is, or nothing is known for sure.
    func claim(_ key: SessionKey) -> Session? {
        guard limit > 0 else { return nil }
        return state.withLock { state in
            guard let entry = state.entries[key], entry.snapshot.isConfirmed, !entry.isClaimed else { return nil }
            entry.isClaimed = true
            return entry.snapshot.session
        }
    }

    /// When a reading begins: for `store`.
    var time: UInt64 { state.withLock { $0.clock } }

    /// Keeps what was read of a session; what is known of the same version is kept beside it, of an earlier one or of
    /// one that was never confirmed forgotten. A reading that was overtaken is not kept.
    ///
    /// - Parameter start: the cache's time when the reading began.
    func store(_ snapshot: SessionSnapshot, readSince start: UInt64) {
        guard limit > 0 else { return }
        state.withLock { state in
            guard lastChange(of: snapshot.session.key, state) <= start else { return }
            guard let entry = take(snapshot.session.key, &state), entry.snapshot.isConfirmed,
                entry.snapshot.session.version >= snapshot.session.version
            else { return put(snapshot, asked: start, &state) }
            guard entry.snapshot.session.version == snapshot.session.version else {
                return put(entry.snapshot, asked: entry.asked, isClaimed: entry.isClaimed, &state)
            }
            entry.snapshot.merge(snapshot)
            entry.snapshot.refresh(snapshot.session)
            put(entry.snapshot, asked: max(entry.asked, start), isClaimed: entry.isClaimed, &state)
        }
    }

    /// Keeps a snapshot instead of what is known. Where the session changed meanwhile neither is kept.
    ///
    /// - Parameter start: the cache's time when the reading began.
    func replace(_ snapshot: SessionSnapshot, readSince start: UInt64) {
        guard limit > 0 else { return }
        state.withLock { state in
            _ = take(snapshot.session.key, &state)
            guard lastChange(of: snapshot.session.key, state) <= start else { return }
            put(snapshot, asked: start, &state)
        }
    }

    /// The database has a session at this version.
    ///
    /// - Parameter start: the cache's time when it was asked.
    func noteAsked(_ key: SessionKey, _ version: Int64, since start: UInt64) {
        state.withLock { state in
            guard let entry = state.entries[key], entry.snapshot.isConfirmed, entry.snapshot.session.version == version,
                lastChange(of: key, state) <= start
            else { return }
            entry.asked = max(entry.asked, start)
        }
    }

    /// The database may have more of a session than memory knows of: it is asked before memory is believed again, and
    /// while it does not answer memory is what there is.
    func doubt(_ key: SessionKey) { state.withLock { $0.entries[key]?.asked = 0 } }

    /// Follows the storing of a turn by this process. A snapshot that cannot follow is dropped.
    ///
    /// - Parameter stored: what the database said; nil for a turn that went to the spool, whose numbers are provisional.
    func append(_ turn: TurnDraft, _ stored: StoredTurn?, at time: Timestamp) {
        state.withLock { state in
            noteChange(turn.key, &state)
            change(turn.key, &state) { snapshot in
                var retry: Int64?
                if let stored {
                    guard snapshot.isConfirmed(as: stored.version - 1), snapshot.session.nextSeq == stored.firstSeq
                    else { return false }
                    if case .overtaken(let first) = stored.superseded { retry = first }
                    // What was superseded is not known from the row alone.
                    if case .doneInPart = stored.superseded { return false }
                }
                guard (try? snapshot.append(turn, overtakenBy: retry, at: time)) != nil else { return false }
                if let stored { snapshot.confirm(stored.version, upTo: snapshot.session.nextSeq) }
                return true
            }
        }
    }

    /// Follows a turn that was found stored, where it is the next one and supersedes nothing; else what is known of the
    /// session is dropped. The version is provisional: whether others have changed the session too is seen by the next
    /// reading.
    func append(_ turn: TurnDraft, foundAt firstSeq: Int64, at time: Timestamp) {
        state.withLock { state in
            noteChange(turn.key, &state)
            change(turn.key, &state) { snapshot in
                guard snapshot.session.nextSeq == firstSeq, turn.supersedes == Supersession(),
                    snapshot.session.attempt(repeatedBy: turn) == nil
                else { return false }
                guard (try? snapshot.append(turn, at: time)) != nil else { return false }
                snapshot.noteFound(at: firstSeq)
                return true
            }
        }
    }

    /// A turn that had been spooled was found stored, where memory has it.
    func noteFound(_ key: SessionKey, at firstSeq: Int64) {
        state.withLock { $0.entries[key]?.snapshot.noteFound(at: firstSeq) }
    }

    /// The database has stored a turn that had been spooled. Where somebody else changed the session before it, what is
    /// known of it is dropped; where it was read since, that says more.
    ///
    /// - Parameter stored: what the database said.
    func confirm(_ key: SessionKey, _ stored: StoredTurn) {
        state.withLock { state in
            guard let known = state.entries[key]?.snapshot, stored.version > known.confirmedVersion else { return }
            guard stored.version == known.nextVersion else {
                noteChange(key, &state)
                _ = take(key, &state)
                return
            }
            let end = stored.firstSeq + Int64(stored.messageCount)
            state.entries[key]?.snapshot.confirm(stored.version, upTo: end)
        }
    }

    func drop(_ key: SessionKey) {
        state.withLock { state in
            noteChange(key, &state)
            _ = take(key, &state)
        }
    }

    func drop(owner: UniqueID) {
        state.withLock { state in
            // No reading is kept that began before: it may be one of theirs.
            state.clock += 1
            state.overtaken = state.clock
            for key in state.entries.keys where key.owner == owner { _ = take(key, &state) }
        }
    }

    // MARK: Bookkeeping

    func noteChange(
        _ key: SessionKey, _ state: inout State, _ body: (inout SessionChanges, UInt64) -> Void = { _, _ in }
    ) {
        state.clock += 1
        let time = state.clock
        state.changes.change(key, at: time) { body(&$0, time) }
    }

    private func lastChange(of key: SessionKey, _ state: State) -> UInt64 {
        max(state.changes.last(key), state.overtaken)
    }

    /// Takes a snapshot out, so that it can be changed in place.
    private func take(_ key: SessionKey, _ state: inout State) -> Entry? {
        guard let entry = state.entries.removeValue(forKey: key) else { return nil }
        state.bytes -= entry.bytes
        // A name may have gone to another session since.
        for name in Self.names(entry.snapshot.session) where state.names[name] == key { state.names[name] = nil }
        return entry
    }

    /// Changes a snapshot where it is: what a session is called stays the same. Where `body` says that it cannot follow,
    /// it is dropped.
    private func change(_ key: SessionKey, _ state: inout State, _ body: (inout SessionSnapshot) -> Bool) {
        guard let entry = state.entries[key] else { return }
        let isGood = body(&entry.snapshot)
        entry.isClaimed = false
        entry.snapshot.shorten(to: limitOfOne)
        let bytes = entry.snapshot.byteCount
        guard isGood, bytes <= limit / 2 else {
            _ = take(key, &state)
            return
        }
        state.bytes += bytes - entry.bytes
        state.clock += 1
        (entry.bytes, entry.used) = (bytes, state.clock)
        if state.bytes > limit { evict(&state) }
    }

    private func put(
        _ snapshot: SessionSnapshot, asked: UInt64, isClaimed: Bool = false, _ state: inout State
    ) {
        var snapshot = snapshot
        // No session takes more than a quarter, so that one long conversation does not drive out all others.
        snapshot.shorten(to: limitOfOne)
        let bytes = snapshot.byteCount
        guard bytes <= limit / 2 else { return }
        state.clock += 1
        state.bytes += bytes
        for name in Self.names(snapshot.session) { state.names[name] = snapshot.session.key }
        state.entries[snapshot.session.key] = Entry(
            snapshot, bytes: bytes, used: state.clock, asked: asked, isClaimed: isClaimed)
        if state.bytes > limit { evict(&state) }
    }

    /// Drops the sessions that were not used for longest, a tenth of the bytes at once: looking for them takes a pass
    /// over all.
    private func evict(_ state: inout State) {
        for (key, _) in state.entries.map({ ($0.key, $0.value.used) }).sorted(by: { $0.1 < $1.1 }) {
            guard state.bytes > limit - limit / 10 else { return }
            _ = take(key, &state)
        }
    }

    private static func names(_ session: Session) -> [Name] {
        names(session.key.owner, session.externalID, session.conversation)
    }

    private static func names(
        _ owner: UniqueID, _ externalID: String?, _ conversation: AgentConversation?
    ) -> [Name] {
        var names: [Name] = []
        if let externalID { names.append(.external(owner, ExactText(externalID))) }
        if let conversation, let id = conversation.externalID {
            names.append(.conversation(owner, agent: ExactText(conversation.agentID), ExactText(id)))
        }
        return names
    }
}
