import Glibc

/// A value behind a lock on which threads can wait: what `Mutex` lacks.
///
/// Only threads of our own wait here; everyone else takes the lock for a few instructions.
// @unchecked Sendable: `state` is only touched with the mutex held; the pthread objects live at a fixed address until
// `deinit`, when no thread can be waiting because a waiting thread holds a reference.
package final class Monitor<State>: @unchecked Sendable {
    private var state: State
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// What a waiting thread finds.
    package enum Finding<Value> {
        case found(Value)
        case wait
        /// Nanoseconds of the monotonic clock.
        case waitUntil(UInt64)
    }

    package init(_ state: State) {
        self.state = state
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    package func withLock<Value>(_ body: (inout State) throws -> Value) rethrows -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&state)
    }

    /// Asks `look` under the lock until it finds something; between two looks the thread waits for a signal.
    package func wait<Value>(_ look: (inout State) -> Finding<Value>) -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            switch look(&state) {
            case .found(let value):
                return value
            case .wait:
                pthread_cond_wait(condition, mutex)
            case .waitUntil(let nanoseconds):
                var time = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
                pthread_cond_timedwait(condition, mutex, &time)
            }
        }
    }

    /// Wakes one waiting thread.
    package func signal() { pthread_cond_signal(condition) }

    /// Wakes all waiting threads.
    package func broadcast() { pthread_cond_broadcast(condition) }
}
