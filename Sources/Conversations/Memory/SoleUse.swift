package import Persistence
import Synchronization

/// Whether this process is the only one on its database, so that its memory of sessions needs no asking.
///
/// Every process looks at one row each second. Who wants the database for itself writes its name there; whoever finds a
/// name that is not its own takes it out. A name that has stood for longer than anybody changes sessions without a look
/// means that nobody else is there, and that is believed for `patience` after each look.
///
/// The other half of it: a process changes sessions only while it is attentive, see ``attend()``. One that has just come, or
/// was stopped, looks first, and where it finds a name, or that one was there just now, it waits for `patience`: by then
/// nobody believes it any more. So at no time anybody believes to be alone beside a change of another process.
///
/// What is believed is what was asked for since: before it others were there, and may have changed anything. It saves
/// asking, and is checked: a turn that went by memory is stored only if its session is still as memory
/// had it, but for what this process has changed itself, see ``Premise``. A process that was stopped for longer than others
/// waited costs a turn that has to be sent again.
package final class SoleUse: Sendable {
    /// When a process wants the database for itself.
    package enum Wish: Sendable, Equatable {
        case never
        /// As long as it happens to be alone.
        case whileAlone
        /// Its operator says that it is: another one is a mistake.
        case always
    }

    /// What a look has found.
    package enum Finding: Sendable, Equatable {
        case nothing
        /// The row had somebody's name: who is to serve waits for `patience` first.
        case wasNamed
        /// From now on this process believes its memory.
        case begun
        /// Another process is there: this one asks the database again.
        case ended
    }

    /// A value without I/O. Times are of the monotonic clock.
    struct State {
        enum Claim: Equatable {
            /// Not wanted, or given up because another process was found.
            case none
            /// From then on.
            case wanted(from: UInt64)
            /// Since then the row has this process' name.
            case made(since: UInt64)
        }

        let wish: Wish
        var claim: Claim
        var isBelieved = false
        /// How long the next claim waits once this one is given up.
        private var pause = SoleUse.pauses.lowerBound

        init(_ wish: Wish) {
            self.wish = wish
            claim = wish == .never ? .none : .wanted(from: 0)
        }

        /// Gives the claim up: for good where nobody else should be there, else until later. Whoever finds out the same, as
        /// all turns do that were under way, changes nothing any more.
        mutating func giveUp(at now: UInt64) {
            guard case .made = claim else { return }
            claim = wish == .whileAlone ? .wanted(from: now + pause) : .none
            isBelieved = false
            pause = min(2 * pause, SoleUse.pauses.upperBound)
        }

        /// What the row is to say from now on; nil leaves it.
        enum Change: Equatable { case own, empty }

        /// - Parameter name: in the row: somebody's, one's own, or none.
        mutating func look(_ name: UniqueID?, own: UniqueID, at start: UInt64) -> (change: Change?, finding: Finding) {
            let isForeign = name != nil && name != own
            switch claim {
            case .wanted(let time) where start >= time:
                claim = .made(since: start)
                return (.own, isForeign ? .wasNamed : .nothing)
            case .none, .wanted: return (isForeign ? .empty : nil, isForeign ? .wasNamed : .nothing)
            case .made(let since):
                guard name == own else {
                    giveUp(at: start)
                    return (isForeign ? .empty : nil, .ended)
                }
                guard !isBelieved, start >= since + SoleUse.standing else { return (nil, .nothing) }
                isBelieved = true
                pause = SoleUse.pauses.lowerBound
                return (nil, .begun)
            }
        }
    }

    /// How long a look is believed: who comes has waited for it when the last belief ends.
    static let patience = Duration.milliseconds(1_500)
    private static let patienceNanoseconds: UInt64 = 1_500_000_000
    /// How long behind the beginning of a look this process may change sessions, so that one look may fail or be late.
    private static let attention: UInt64 = 2_500_000_000
    /// How long a name stands before it is believed: `attention` of whoever did not find it, and as long again for what was
    /// begun in it to be committed.
    private static let standing: UInt64 = 5_000_000_000
    /// How long a change waits for the attention of its process: longer than `patience`.
    private static let longestWait: UInt64 = 2_000_000_000
    /// Who waits and wakes this much too late was stopped: that time does not count, once.
    private static let lateness: UInt64 = 500_000_000
    /// How long a process that was not alone waits before it claims the database again: each time twice as long, as
    /// where there are several they are there to stay.
    private static let pauses: ClosedRange<UInt64> = 30_000_000_000...3_600_000_000_000
    /// How long nothing is believed behind a commit of which nobody knows whether it happens.
    private static let doubt: UInt64 = 300_000_000_000
    /// The row's place among the leases: behind those of all chores.
    private static let row = Chore.leases.upperBound

    package let wish: Wish
    package let database: any Database
    private let clock: @Sendable () -> UInt64
    private let own = UniqueID.generate()
    private let state: Mutex<State>
    private let believedUntil = Atomic<UInt64>(0)
    private let doubtedUntil = Atomic<UInt64>(0)
    private let periods = Atomic<UInt64>(0)
    private let isKept = Atomic(false)
    private let attentiveUntil = Atomic<UInt64>(0)
    private let quietUntil = Atomic<UInt64>(0)

    /// - Parameter clock: monotonic nanoseconds, for tests.
    package init(
        _ wish: Wish, _ database: any Database, clock: @escaping @Sendable () -> UInt64 = { monotonicNanoseconds() }
    ) {
        self.wish = wish
        self.database = database
        self.clock = clock
        state = Mutex(State(wish))
    }

    /// Whether it may ever be in force.
    var isWanted: Bool { wish != .never }

    /// Whether memory is as the database is, without asking.
    package var isInForce: Bool {
        let until = believedUntil.load(ordering: .acquiring)
        guard until > 0 else { return false }
        let now = clock()
        return now < until && now >= doubtedUntil.load(ordering: .acquiring)
    }

    /// The how-manieth time it is that this process is alone; nil while it is not. What it has read before that time others
    /// may have changed before they left.
    var period: UInt64? { isInForce ? periods.load(ordering: .acquiring) : nil }

    /// Whether this process was to be alone, and another one was found.
    package var isEnded: Bool { wish == .always && state.withLock { $0.claim == .none } }

    /// Another process has changed a session: whatever the row says, this one is not alone.
    func giveUp() {
        state.withLock {
            $0.giveUp(at: clock())
            believedUntil.store(0, ordering: .releasing)
        }
    }

    /// A commit got no answer, and may still happen.
    func suspend() {
        guard isWanted else { return }
        doubtedUntil.store(clock() + Self.doubt, ordering: .releasing)
    }

    // MARK: Attention

    /// Somebody will look each second: from now on changes wait for it.
    package func keep() { isKept.store(true, ordering: .releasing) }

    /// Whether this process may change sessions now.
    package var isAttentive: Bool {
        guard isKept.load(ordering: .acquiring) else { return true }
        let now = clock()
        return now < attentiveUntil.load(ordering: .acquiring) && now >= quietUntil.load(ordering: .acquiring)
    }

    /// Returns when this process may change sessions: at once, but for one that has just come, was stopped, or does not
    /// reach the database.
    ///
    /// - Throws: `DatabaseError.unavailable` where that takes longer than two seconds.
    package func attend() async throws {
        if isAttentive { return }
        // A task of its own: what waits here may be a turn, which is kept although its client has left.
        try await Task { [self] in
            var last = clock()
            var limit = last + Self.longestWait
            var wasStopped = false
            while !isAttentive {
                let now = clock()
                if !wasStopped, now > last + Self.lateness {
                    wasStopped = true
                    limit += now - last
                }
                guard now < limit else {
                    throw DatabaseError(.unavailable, "whether others use the database could not be looked up")
                }
                last = now
                try await Task.sleep(for: .milliseconds(20))
            }
        }.value
    }

    /// - Parameters:
    ///   - start: When the look began.
    ///   - mayBeBelieved: Whether the row has another one's name, or had it a moment ago.
    private func noteLook(at start: UInt64, mayBeBelieved: Bool) {
        // Whoever was attentive all the time has found each name before it was believed.
        if mayBeBelieved, start >= attentiveUntil.load(ordering: .acquiring) {
            quietUntil.store(clock() + Self.patienceNanoseconds, ordering: .releasing)
        }
        attentiveUntil.store(start + Self.attention, ordering: .releasing)
    }

    // MARK: Looking

    /// Looks at the row; to be called each second, by one task.
    package func look() async throws -> Finding {
        let start = clock()
        let row = try await database.read(.patiently) { connection in
            // A process that only reads would not find out otherwise, and go on as before the switch.
            try (connection as? any ReplicatedConnection)?.checkTakesWrites()
            let now = try DatabaseClock.now(connection)
            return try connection.first("SELECT holder, expires_us FROM schema_lease WHERE lease_id = \(Self.row)") {
                (name: try $0.optional(0, as: UniqueID.self), wasTakenOut: try $0.value(1, as: Timestamp.self) > now)
            }
        }
        let name = row?.name
        let (change, finding) = state.withLock { $0.look(name, own: own, at: start) }
        if finding == .ended { believedUntil.store(0, ordering: .releasing) }
        do { try await write(change, insteadOf: name) } catch  where finding == .ended {
            // The next look does it otherwise.
            return finding
        }
        noteLook(at: start, mayBeBelieved: (name != nil && name != own) || row?.wasTakenOut ?? false)
        // Under the lock, so that nothing is believed that was given up meanwhile.
        state.withLock { state in
            // A claim counts from when it is there.
            if change == .own, case .made = state.claim { state.claim = .made(since: clock()) }
            if finding == .begun { periods.add(1, ordering: .acquiringAndReleasing) }
            if state.isBelieved { believedUntil.store(start + Self.patienceNanoseconds, ordering: .releasing) }
        }
        return finding
    }

    private func write(_ change: State.Change?, insteadOf name: UniqueID?) async throws {
        switch change {
        case nil: break
        case .own:
            do {
                try await database.write(.patiently) { [own] connection in
                    try connection.execute(
                        """
                        INSERT INTO schema_lease (lease_id, holder, expires_us) VALUES (\(Self.row), NULL, 0) \
                        \(raw: connection.dialect.orIgnore("lease_id"))
                        """)
                    let now = try DatabaseClock.now(connection)
                    try connection.execute(
                        """
                        UPDATE schema_lease SET holder = \(own), expires_us = \(now.advanced(by: Self.patience)) \
                        WHERE lease_id = \(Self.row)
                        """)
                }
            } catch {
                // Whether it is there is found out by the next look, which begins anew.
                state.withLock { if case .made = $0.claim { $0.claim = .wanted(from: 0) } }
                throw error
            }
        case .empty: try await clear(name, believedFor: Self.patience)
        }
    }

    /// - Parameter belief: How long whoever had that name there may believe it, for those who come meanwhile.
    private func clear(_ name: UniqueID?, believedFor belief: Duration?) async throws {
        try await database.write(.patiently) { connection in
            let now = try DatabaseClock.now(connection)
            let until: SQL = belief.map { "\(now.advanced(by: $0))" } ?? "expires_us"
            _ = try connection.execute(
                """
                UPDATE schema_lease SET holder = NULL, expires_us = \(sql: until) \
                WHERE lease_id = \(Self.row) AND holder = \(name)
                """)
        }
    }

    /// Takes this process' name out, so that the next one need not wait, but for what another one may still believe.
    /// Behind the last exchange.
    package func release() async {
        let isClaimed = state.withLock { state in
            defer { (state.claim, state.isBelieved) = (.none, false) }
            believedUntil.store(0, ordering: .releasing)
            return state.claim != .none
        }
        // Whoever had a name there before may still believe it: until when is left as it is.
        if isClaimed { try? await clear(own, believedFor: nil) }
    }
}
