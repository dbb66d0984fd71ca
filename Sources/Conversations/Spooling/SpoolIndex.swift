import DequeModule
import Persistence

/// Which turns of which sessions wait in the spool, and which of them may be replayed now. A value without I/O.
///
/// Turns of one session are replayed one after the other. A session counts as spooled from the moment at which its
/// first turn is on its way into the spool until its last one is stored: what follows goes the same way, behind it.
struct SpoolIndex {
    struct Turn: Sendable, Equatable {
        let sequence: UInt64
        let key: SessionKey
        let id: UniqueID
        let bytes: Int
    }

    private struct Queue {
        var turns: Deque<Turn> = []
        /// Turns that are being written to the spool.
        var arriving = 0
        var isReplaying = false
        /// A turn of it came out otherwise than its later ones know: they supersede nothing.
        var hasDiverged = false
        var refusals = Refusals()
    }

    /// How often the database refused the oldest turn of a session while it stored those of others.
    private struct Refusals {
        /// After so many of them the reason is the turn, and not the database.
        static let limit = 10
        var count = 0
        /// How many turns the database had stored when it last refused this one.
        var stored: UInt64?

        mutating func add(whenStored now: UInt64) -> Bool {
            if let stored, now > stored { count += 1 }
            stored = now
            return count >= Self.limit
        }
    }

    private var queues: [SessionKey: Queue] = [:]
    private(set) var count = 0
    /// How many turns have left: what is not here any more may have come into the database a moment ago.
    private(set) var departures: UInt64 = 0

    var isEmpty: Bool { queues.isEmpty }

    func holds(_ key: SessionKey) -> Bool { queues[key] != nil }

    func turns(of key: SessionKey) -> [Turn] { queues[key].map { Array($0.turns) } ?? [] }

    // MARK: Arriving

    mutating func arrive(_ key: SessionKey) { queues[key, default: Queue()].arriving += 1 }

    /// A turn that was announced is in the spool; `nil`: it could not be written.
    mutating func arrived(_ key: SessionKey, _ turn: Turn?) {
        guard var queue = queues[key] else { return }
        queue.arriving -= 1
        if let turn {
            // Two appends may return in another order than that in which they were written.
            let place = queue.turns.lastIndex { $0.sequence < turn.sequence }.map { $0 + 1 } ?? 0
            queue.turns.insert(turn, at: place)
            count += 1
        }
        put(queue, key)
    }

    /// A turn of an earlier run.
    mutating func add(_ turn: Turn) {
        queues[turn.key, default: Queue()].turns.append(turn)
        count += 1
    }

    // MARK: Replaying

    /// The oldest turn of each session that none is being replayed of, the oldest first; those that the database refused
    /// while it took others come behind all others.
    ///
    /// - Parameter bytes: About how many bytes they may have together; one turn is always given.
    mutating func takeForReplay(limit: Int, bytes: Int) -> [(turn: Turn, hasDiverged: Bool)] {
        let ready = queues.values.filter { !$0.isReplaying }.compactMap { queue in
            queue.turns.first.map { ($0, queue.hasDiverged, queue.refusals.count) }
        }.sorted { ($0.2, $0.0.sequence) < ($1.2, $1.0.sequence) }
        var (taken, sum): ([(turn: Turn, hasDiverged: Bool)], Int) = ([], 0)
        for (turn, hasDiverged, _) in ready.prefix(limit) {
            sum += turn.bytes
            guard taken.isEmpty || sum <= bytes else { break }
            queues[turn.key]?.isReplaying = true
            taken.append((turn, hasDiverged))
        }
        return taken
    }

    /// The replay of a turn has ended. Nothing happens where its session was erased meanwhile.
    ///
    /// - Parameter isDone: It is stored, discarded or set aside; otherwise it is tried again.
    /// - Returns: Whether it was still there.
    @discardableResult
    mutating func finish(_ turn: Turn, isDone: Bool) -> Bool {
        guard var queue = queues[turn.key], queue.turns.first?.sequence == turn.sequence else { return false }
        queue.isReplaying = false
        if isDone {
            queue.turns.removeFirst()
            queue.refusals = Refusals()
            count -= 1
            departures += 1
        }
        put(queue, turn.key)
        return true
    }

    /// The database refused a turn for a reason that may be the turn's or the database's.
    ///
    /// - Parameter count: how many turns the database has stored so far.
    /// - Returns: Whether it has stored others so often meanwhile that the turn is the reason.
    mutating func refuse(_ turn: Turn, whenStored count: UInt64) -> Bool {
        queues[turn.key]?.refusals.add(whenStored: count) ?? false
    }

    mutating func diverge(_ key: SessionKey) { queues[key]?.hasDiverged = true }

    // MARK: Erasing

    /// Forgets the turns of the sessions that `isMeant` names.
    mutating func discard(_ isMeant: (SessionKey) -> Bool) -> [Turn] {
        var discarded: [Turn] = []
        for (key, var queue) in queues where isMeant(key) {
            discarded += queue.turns
            queue.turns = []
            queue.isReplaying = false
            put(queue, key)
        }
        count -= discarded.count
        return discarded
    }

    private mutating func put(_ queue: Queue, _ key: SessionKey) {
        queues[key] = queue.turns.isEmpty && queue.arriving == 0 ? nil : queue
    }
}
