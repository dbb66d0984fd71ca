import Glibc
import Synchronization

/// Holds a database thread until the test opens it: what makes "while the first batch runs" certain.
package final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var isEntered = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    package init() {}

    /// Blocks the calling (database) thread until `open()`; passes at once from then on.
    package func pass() {
        let waiter = state.withLock { state in
            state.isEntered = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
        while !state.withLock({ $0.isOpen }) { sched_yield() }
    }

    /// Returns when a thread has come to the gate.
    package func entered() async {
        await withCheckedContinuation { continuation in
            let isEntered = state.withLock { state in
                if !state.isEntered { state.waiter = continuation }
                return state.isEntered
            }
            if isEntered { continuation.resume() }
        }
    }

    /// Lets everyone pass.
    package func open() {
        state.withLock { $0.isOpen = true }
    }
}
