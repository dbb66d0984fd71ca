import Synchronization

/// Lets one task wait for whichever of several answers comes first; the later ones are dropped.
///
/// Waiting and taking are two steps, so that an async function never holds the value in its own frame: Swift 6.3.1
/// mixes up the frame's memory where its size is only known at run time.
package final class FirstAnswer<Value: Sendable>: Sendable {
    /// Awaited before `take()`.
    package let arrival = Arrival()
    private let answer = Mutex(Content.none)

    package init() {}

    /// What was taken is let go of at once: a deadline holds on to the answer for as long as it might have taken.
    private enum Content {
        case none
        case given(Result<Value, any Error>)
        case taken
    }

    /// Gives an answer; only the first one counts. Returns whether this is the one.
    @discardableResult
    package func give(_ given: Result<Value, any Error>) -> Bool {
        let isFirst = answer.withLock { answer in
            guard case .none = answer else { return false }
            answer = .given(given)
            return true
        }
        if isFirst { arrival.announce() }
        return isFirst
    }

    /// Whether an answer has come.
    package var isGiven: Bool {
        answer.withLock { if case .none = $0 { false } else { true } }
    }

    /// The answer that came first, once, behind `arrival`.
    package func take() throws -> Value {
        let content = answer.withLock { answer in
            defer { answer = .taken }
            return answer
        }
        guard case .given(let given) = content else {
            preconditionFailure("The answer is awaited first, and taken once.")
        }
        return try given.get()
    }
}

/// Something that happens once, and that one task waits for.
package final class Arrival: Sendable {
    private struct State {
        var hasHappened = false
        /// Unchecked: whoever takes it out of the state resumes it, and every turn of a session waits here twice.
        var waiter: UnsafeContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    package init() {}

    package func announce() {
        let waiter = state.withLock { state in
            state.hasHappened = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Returns when it has happened.
    package func wait() async {
        await withUnsafeContinuation { continuation in
            let hasHappened = state.withLock { state in
                if !state.hasHappened { state.waiter = continuation }
                return state.hasHappened
            }
            if hasHappened { continuation.resume() }
        }
    }
}
