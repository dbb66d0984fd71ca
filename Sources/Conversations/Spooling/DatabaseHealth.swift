import Persistence
import Synchronization

/// Whether the database answered last time: so that only the first turns of an outage wait for their deadline.
///
/// A value behind a lock. While the database does not answer, one caller per pause may try it all the same.
final class DatabaseHealth: Sendable {
    private struct State {
        var silentUntil: ContinuousClock.Instant?
        var lastAnswer: ContinuousClock.Instant?
    }

    private let state = Mutex(State())
    private let pause: Duration
    private let now: @Sendable () -> ContinuousClock.Instant

    init(pause: Duration = .seconds(1), now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
        self.pause = pause
        self.now = now
    }

    /// Whether it answered last time.
    var isAnswering: Bool { state.withLock { $0.silentUntil == nil } }

    /// Whether the caller should ask it: it answers, or it is this caller's turn to see whether it does again.
    func mayTry() -> Bool {
        state.withLock { state in
            guard let until = state.silentUntil else { return true }
            guard now() >= until else { return false }
            state.silentUntil = now() + pause
            return true
        }
    }

    func noteAnswer() { state.withLock { $0 = State(lastAnswer: now()) } }

    /// One that others have heard from within the pause answers: what failed was slow, or in somebody's way.
    func noteSilence() {
        state.withLock { state in
            let now = now()
            guard state.lastAnswer.map({ now - $0 >= pause }) ?? true else { return }
            state.silentUntil = now + pause
        }
    }
}

extension DatabaseError {
    /// Whether the database is away or too slow, so that the same turn may be stored later.
    var isOutage: Bool {
        switch failure {
        case .unavailable, .overloaded, .unknownAtCommit, .resend, .retryTransaction: true
        case .data, .refuse: false
        }
    }
}
