import Persistence
import Synchronization

/// Whether the database answered last time: so that only the first turns of an outage wait for their deadline.
///
/// A value behind a lock. While the database does not answer, one caller per pause may try it all the same.
final class DatabaseHealth: Sendable {
    private struct State {
        var silentUntil: ContinuousClock.Instant?
        var lastAnswer: ContinuousClock.Instant?
        /// When it was last found silent, on the monotonic clock.
        var silentSince: UInt64 = .max
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

    /// Somebody was answered at that time, who may have been given up by then: that ends a silence from before.
    func noteAnswer(at time: UInt64) {
        state.withLock { state in
            guard state.silentUntil != nil, time > state.silentSince else { return }
            (state.silentUntil, state.silentSince) = (nil, .max)
        }
    }

    func noteAnswer() {
        state.withLock { $0 = State(lastAnswer: now()) }
    }

    /// One that others have heard from within the pause answers: what failed was slow, or in somebody's way.
    func noteSilence() {
        state.withLock { state in
            let now = now()
            guard !hasAnswered(state, by: now) else { return }
            state.silentUntil = now + pause
            state.silentSince = monotonicNanoseconds()
        }
    }

    /// Whether somebody has heard from it within the pause.
    var hasAnsweredLately: Bool { state.withLock { hasAnswered($0, by: now()) } }

    private func hasAnswered(_ state: State, by now: ContinuousClock.Instant) -> Bool {
        state.lastAnswer.map { now - $0 < pause } ?? false
    }
}

extension DatabaseError {
    /// Whether the same turn may be stored later: everything but values that were refused.
    ///
    /// `refuse` is among them although somebody must mend the database first: a right that was taken away, a table that
    /// is missing, an error that nobody foresaw. None of that is a reason to lose an answer.
    var isOutage: Bool {
        switch failure {
        case .unavailable, .overloaded, .unknownAtCommit, .resend, .retryTransaction, .refuse: true
        case .data: false
        }
    }

    /// Whether nobody can ask the database, so that what memory knows is the best that there is.
    ///
    /// One that has too much to do answers others, who may have changed what memory knows; so does one in which others
    /// were faster.
    var isAbsence: Bool {
        switch failure {
        case .unavailable, .unknownAtCommit, .resend, .refuse: true
        case .overloaded, .retryTransaction, .data: false
        }
    }

    /// Whether the database said nothing, or that it cannot: the next caller would wait in vain. One that refuses has
    /// answered, and so has one in which others were faster.
    package var isSilence: Bool {
        switch failure {
        case .unavailable, .overloaded, .unknownAtCommit, .resend: true
        case .retryTransaction, .refuse, .data: false
        }
    }
}
