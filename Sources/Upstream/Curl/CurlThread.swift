import CCurl
import Glibc
import Synchronization

/// A thread with a name that can be waited for without blocking anything.
final class CurlThread: Sendable {
    private enum State {
        case running([CheckedContinuation<Void, Never>])
        case ended
    }

    private let state = Mutex(State.running([]))

    /// Runs `body` on a new thread. Called once.
    func start(name: String, _ body: @escaping @Sendable () -> Void) throws {
        let main = Main(name: name) { [self] in
            body()
            end()
        }
        var thread = pthread_t()
        let box = Unmanaged.passRetained(main)
        let result = pthread_create(&thread, nil, { Main.run($0) }, box.toOpaque())
        guard result == 0 else {
            box.release()
            throw SystemError(operation: "pthread_create", code: result)
        }
        // Nobody joins by id: `ended()` waits, and whoever drops everything without waiting leaves nothing behind.
        pthread_detach(thread)
    }

    /// Returns when `body` has returned.
    func ended() async {
        await withCheckedContinuation { waiter in
            let hasEnded = state.withLock { state in
                switch state {
                case .ended: return true
                case .running(let waiters):
                    state = .running(waiters + [waiter])
                    return false
                }
            }
            if hasEnded { waiter.resume() }
        }
    }

    private func end() {
        let waiters = state.withLock { state in
            defer { state = .ended }
            if case .running(let waiters) = state { return waiters }
            return []
        }
        for waiter in waiters { waiter.resume() }
    }

    /// What crosses `pthread_create`: it is retained for exactly the run of the thread.
    private final class Main {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }

        static func run(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
            guard let context else { return nil }
            let main = Unmanaged<Main>.fromOpaque(context).takeRetainedValue()
            cc_set_thread_name(main.name)
            main.body()
            return nil
        }
    }
}

/// A call to the operating system that failed.
struct SystemError: Error, CustomStringConvertible {
    let operation: String
    /// As in `errno`.
    let code: Int32

    var description: String { "\(operation): \(String(cString: strerror(code)))" }
}
