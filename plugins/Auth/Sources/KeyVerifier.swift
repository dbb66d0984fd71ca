import Persistence
import Synchronization
import TurnpikeKit

/// Answers whose key was presented: from memory where it can, else with one lookup for all who ask at once.
///
/// `run()` of the plugin calls ``tick()`` each second, which keeps what is remembered honest: see ``ChangeWatch``.
final class KeyVerifier: Sendable {
    private let lookup: KeyLookup
    private let clock: GatewayClock
    private let limits: KeyCacheLimits
    private let state: Mutex<State>

    init(_ lookup: KeyLookup, limits: KeyCacheLimits, clock: GatewayClock) {
        self.lookup = lookup
        self.clock = clock
        self.limits = limits
        state = Mutex(State(limits))
    }

    convenience init(_ configuration: AuthConfiguration, database: any Database, clock: GatewayClock) {
        self.init(
            KeyLookup(database: database, hashKeys: configuration.hashKeys), limits: configuration.cache, clock: clock)
    }

    /// Whether a plugin with this configuration, whose hash keys are loaded, may go on with what is remembered here: the
    /// hash keys and every limit are the same.
    func fits(_ configuration: AuthConfiguration) -> Bool {
        limits == configuration.cache && lookup.hashKeys.hasLoadedTheSame(as: configuration.hashKeys)
    }

    /// Whether it has hash keys, and so may have let somebody in.
    var hasHashKeys: Bool { lookup.hashKeys.isLoaded }

    /// Reads the hash keys, so that no exchange has to. Throws a ``HashKeyError`` if there are none.
    func loadHashKeys() throws { _ = try lookup.hashKeys.load() }

    /// How many keys are remembered, refused ones too.
    var remembered: Int { state.withLock { $0.count } }
    /// How many lookups are under way.
    var lookups: Int { state.withLock { $0.lookups } }

    /// What is known without asking the database; nil if it must be asked.
    func known(_ key: PresentedKey) -> Verdict? {
        let now = clock.monotonicNanoseconds()
        guard case .known(let verdict) = state.withLock({ $0.find(key.fingerprint, at: now) }) else { return nil }
        return verdict
    }

    /// The verdict from the database, or what may be believed while it does not answer. Throws a 503 otherwise.
    ///
    /// A request that is cancelled meanwhile still waits, for as long as a lookup may take.
    func verify(_ key: PresentedKey) async throws -> Verdict {
        do {
            let now = clock.monotonicNanoseconds()
            if state.withLock({ $0.isFutile(at: now) }) { throw DatabaseOutage() }
            return try await lookedUp(key)
        } catch {
            let now = clock.monotonicNanoseconds()
            if let verdict = state.withLock({ $0.fallback(key.fingerprint, at: now) }) { return verdict }
            throw GatewayError.keysUnavailable(error)
        }
    }

    private func lookedUp(_ key: PresentedKey) async throws -> Verdict {
        let now = clock.monotonicNanoseconds()
        return try await withCheckedThrowingContinuation { continuation in
            switch state.withLock({ $0.join(key.fingerprint, continuation, at: now) }) {
            case .joined: break
            case .known(let verdict): continuation.resume(returning: verdict)
            case .first(let flight): start(flight, key)
            }
        }
    }

    /// A task of its own: the lookup belongs to everybody who waits for it, so it must not end with the request that
    /// happened to be first. The database bounds how many there are, and `tick` for how long anybody waits.
    private func start(_ flight: State.Flight, _ key: PresentedKey) {
        Task { [self] in
            let result: Result<Verdict, any Error>
            do {
                result = .success(try await lookup.verdict(on: key))
            } catch {
                result = .failure(error)
            }
            let now = clock.monotonicNanoseconds()
            for waiter in state.withLock({ $0.settle(flight, result, at: now) }) { waiter.resume(with: result) }
        }
    }

    /// To be called each second: gives up what takes too long. True if the caller is to `poll()` now.
    func tick() -> Bool {
        let now = clock.monotonicNanoseconds()
        let (waiters, polls) = state.withLock { ($0.overdue(at: now), $0.beginPoll(at: now)) }
        for waiter in waiters { waiter.resume(throwing: LookupTimeout()) }
        return polls
    }

    /// Asks whether keys or users have changed since the last poll. If so, nothing that is remembered is believed any more
    /// until it has been looked up again, which begins at once, so that an outage finds as much of it known as can be.
    func poll() async {
        let generation = try? await lookup.generation()
        state.withLock { $0.endPoll(generation) }
        if generation != nil { await lookUpDoubts() }
    }

    /// A failure ends the round; the next poll that succeeds begins another one.
    private func lookUpDoubts() async {
        guard let round = state.withLock({ $0.beginRound() }) else { return }
        var reachedAll = true
        for batch in round.batches {
            guard let found = try? await lookup.liveKeys(batch.map(\.keyID)),
                state.withLock({ $0.settle(batch, of: round, found) })
            else {
                reachedAll = false
                break
            }
        }
        state.withLock { $0.endRound(round, reachedAll: reachedAll) }
    }
}

/// The database has not answered in time.
struct LookupTimeout: Error, CustomStringConvertible {
    var description: String { "the lookup took too long" }
}

/// The last poll has failed, and enough lookups wait already for the database to answer again.
struct DatabaseOutage: Error, CustomStringConvertible {
    var description: String { "the database does not answer" }
}
