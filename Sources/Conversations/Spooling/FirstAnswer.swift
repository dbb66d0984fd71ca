import Synchronization

/// Lets one task wait for whichever of several answers comes first; the later ones are dropped.
///
/// Waiting and taking are two steps, so that an async function never holds the value in its own frame: Swift 6.3.1
/// mixes up the frame's memory where its size is only known at run time.
final class FirstAnswer<Value: Sendable>: Sendable {
    /// Awaited before `take()`.
    let arrival = Arrival()
    private let answer = Mutex<Result<Value, any Error>?>(nil)

    /// Gives an answer; only the first one counts.
    func give(_ given: Result<Value, any Error>) {
        let isFirst = answer.withLock { answer in
            if case .some = answer { return false }
            answer = given
            return true
        }
        if isFirst { arrival.announce() }
    }

    /// The answer that came first, behind `arrival`.
    func take() throws -> Value {
        guard let answer = answer.withLock({ $0 }) else { preconditionFailure("The answer is awaited first.") }
        return try answer.get()
    }
}

/// Something that happens once, and that one task waits for.
final class Arrival: Sendable {
    private struct State {
        var hasHappened = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func announce() {
        let waiter = state.withLock { state in
            state.hasHappened = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Returns when it has happened.
    func wait() async {
        await withCheckedContinuation { continuation in
            let hasHappened = state.withLock { state in
                if !state.hasHappened { state.waiter = continuation }
                return state.hasHappened
            }
            if hasHappened { continuation.resume() }
        }
    }
}
