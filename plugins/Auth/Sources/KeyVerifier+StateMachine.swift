import TurnpikeKit

extension KeyVerifier {
    /// What is known about keys and which lookups are under way. Events in, actions out; the lock is the caller's.
    ///
    /// Why a key that is revoked cannot slip in again: a lookup may have read its row before the revocation and end
    /// after it. A change raises `epoch`; what a lookup of an earlier epoch found goes to those who waited for it
    /// then, is not kept, and nobody joins it any more. What was verified in an earlier epoch is believed by nobody, in
    /// an outage neither, until it has been looked up again: by its next use, or in a ``Round``.
    struct State {
        enum Finding {
            case known(Verdict)
            /// Look it up.
            case unsure
        }

        enum Joining {
            /// Nobody looks this key up yet: do it, and settle the flight.
            case first(Flight)
            case joined
            /// The answer has come meanwhile.
            case known(Verdict)
        }

        /// A lookup under way.
        struct Flight: Sendable {
            let number: UInt64
            let target: Target
            let startedAt: UInt64
        }

        /// What a lookup is about: a key, as of an epoch.
        struct Target: Hashable, Sendable {
            let fingerprint: Fingerprint
            let epoch: UInt64
        }

        /// What was verified, and as of which epoch.
        struct Remembered {
            let key: VerifiedKey
            let epoch: UInt64
        }

        typealias Waiter = CheckedContinuation<Verdict, any Error>

        /// What hangs in a database that does not answer must not fill its queue.
        static let lookupsInOutage = 4

        private let timeToLive: UInt64
        private let refusedTimeToLive: UInt64
        var verified: KeyCache<Remembered>
        private var refused: KeyCache<Verdict>
        private var watch: ChangeWatch
        private(set) var epoch: UInt64 = 0
        var doubts = Doubts.none
        private var flights: [Target: (flight: Flight, waiters: [Waiter])] = [:]
        private var lastFlight: UInt64 = 0

        init(_ limits: KeyCacheLimits) {
            timeToLive = limits.timeToLive.nanoseconds
            refusedTimeToLive = limits.refusedTimeToLive.nanoseconds
            verified = KeyCache(capacity: limits.entries)
            refused = KeyCache(capacity: max(1, limits.entries / 8))
            watch = ChangeWatch(patience: limits.patience, grace: limits.grace)
        }

        var count: Int { verified.count + refused.count }
        var lookups: Int { flights.count }

        // MARK: Keys

        mutating func find(_ fingerprint: Fingerprint, at now: UInt64) -> Finding {
            if let (found, storedAt) = verified.find(fingerprint), found.epoch == epoch {
                switch watch.trust(at: now) {
                case .confirmed: return now < storedAt &+ timeToLive ? .known(.verified(found.key)) : .unsure
                case .outage: return .known(.verified(found.key))
                case .unconfirmed, .graceOver: return .unsure
                }
            }
            if let (verdict, storedAt) = refused.find(fingerprint), now < storedAt &+ refusedTimeToLive {
                return .known(verdict)
            }
            return .unsure
        }

        /// Whether nothing more is to be looked up now: the database does not answer, and a few lookups find out already
        /// when it does again.
        func isFutile(at now: UInt64) -> Bool {
            switch watch.trust(at: now) {
            case .outage, .graceOver: flights.count >= Self.lookupsInOutage
            case .confirmed, .unconfirmed: false
            }
        }

        /// What may be believed although looking it up has failed.
        mutating func fallback(_ fingerprint: Fingerprint, at now: UInt64) -> Verdict? {
            guard watch.allowsFallback(at: now), let (found, _) = verified.find(fingerprint), found.epoch == epoch
            else { return nil }
            return .verified(found.key)
        }

        // MARK: Lookups

        mutating func join(_ fingerprint: Fingerprint, _ waiter: Waiter, at now: UInt64) -> Joining {
            if case .known(let verdict) = find(fingerprint, at: now) { return .known(verdict) }
            let target = Target(fingerprint: fingerprint, epoch: epoch)
            if flights[target] != nil {
                flights[target]?.waiters.append(waiter)
                return .joined
            }
            lastFlight += 1
            let flight = Flight(number: lastFlight, target: target, startedAt: now)
            flights[target] = (flight, [waiter])
            return .first(flight)
        }

        /// Ends a lookup and returns those who wait for it; nobody, if it was given up before.
        mutating func settle(_ flight: Flight, _ result: Result<Verdict, any Error>, at now: UInt64) -> [Waiter] {
            if flight.target.epoch == epoch, case .success(let verdict) = result {
                keep(verdict, for: flight.target.fingerprint, at: now)
            }
            guard let (current, waiters) = flights[flight.target], current.number == flight.number else { return [] }
            flights[flight.target] = nil
            return waiters
        }

        /// Gives up the lookups that take too long and returns those who wait for them.
        mutating func overdue(at now: UInt64) -> [Waiter] {
            let late = flights.filter { now >= $0.value.flight.startedAt &+ watch.patience }
            for target in late.keys { flights[target] = nil }
            return late.values.flatMap(\.waiters)
        }

        private mutating func keep(_ verdict: Verdict, for fingerprint: Fingerprint, at now: UInt64) {
            switch verdict {
            case .verified(let key): verified.store(Remembered(key: key, epoch: epoch), for: fingerprint, at: now)
            case .revoked, .unknown:
                verified.remove(fingerprint)
                refused.store(verdict, for: fingerprint, at: now)
            }
        }

        // MARK: Polls

        mutating func beginPoll(at now: UInt64) -> Bool { watch.beginPoll(at: now) }

        mutating func endPoll(_ generation: Int64?) {
            guard watch.endPoll(generation) else { return }
            refused.removeAll()
            epoch += 1
            doubts.arise()
        }
    }
}
