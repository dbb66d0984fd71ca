import TurnpikeKit

/// What polling the generation of keys and users says about what was cached. A value without I/O.
///
/// `unconfirmed → confirmed ⇄ failing`: a poll that succeeds confirms, one that fails begins an outage.
struct ChangeWatch {
    /// What a cached key is worth now.
    enum Trust {
        /// A poll has answered a moment ago.
        case confirmed
        /// Nobody has polled for a while, or ever: look it up, if possible.
        case unconfirmed
        /// The database does not answer; within the grace period.
        case outage
        /// The database has not answered for longer than that.
        case graceOver
    }

    let patience: UInt64
    let grace: UInt64
    private var generation: Int64?
    private var confirmedAt: UInt64?
    private var failingSince: UInt64?
    private var pollStartedAt: UInt64?

    init(patience: Duration, grace: Duration) {
        self.patience = patience.nanoseconds
        self.grace = grace.nanoseconds
    }

    /// Whether a poll is to be made now: not while another one is under way, which fails if it takes too long.
    mutating func beginPoll(at now: UInt64) -> Bool {
        guard let start = pollStartedAt else {
            pollStartedAt = now
            return true
        }
        if now >= start &+ patience { fail(startedAt: start) }
        return false
    }

    /// The poll has read a generation, or has failed (`nil`). True if what was cached before must not be
    /// believed any more: something has changed, or this is the first poll and nobody knows.
    mutating func endPoll(_ generation: Int64?) -> Bool {
        guard let start = pollStartedAt else { return false }
        pollStartedAt = nil
        guard let generation else {
            fail(startedAt: start)
            return false
        }
        confirmedAt = start
        failingSince = nil
        defer { self.generation = generation }
        return self.generation != generation
    }

    private mutating func fail(startedAt start: UInt64) {
        if failingSince == nil { failingSince = start }
    }

    /// A poll that is under way and not late counts like one that has answered: a slow database must not be asked for
    /// every single key on top.
    func trust(at now: UInt64) -> Trust {
        if let failingSince { return now < failingSince &+ grace ? .outage : .graceOver }
        guard let confirmedAt else { return .unconfirmed }
        return now < (pollStartedAt ?? confirmedAt) &+ patience ? .confirmed : .unconfirmed
    }

    /// Whether a cached key may be believed although looking it up has failed.
    func allowsFallback(at now: UInt64) -> Bool {
        guard let start = failingSince ?? confirmedAt else { return false }
        return now < start &+ grace
    }
}
