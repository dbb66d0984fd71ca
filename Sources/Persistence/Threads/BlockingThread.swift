import Glibc

/// A thread of our own, for calls that block.
package enum BlockingThread {
    private final class Start {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }

    /// Starts a detached thread; it ends when `body` returns.
    ///
    /// - Parameter name: Up to 15 bytes are shown by the system's tools.
    package static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let argument = Unmanaged.passRetained(
            Start {
                show(name)
                letOthersFinish()
                body()
            }
        ).toOpaque()
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, argument)
        precondition(result == 0, "the system gives no thread for the database")
        pthread_detach(thread)
    }

    /// Blocks the calling thread.
    @Sendable package static func sleep(nanoseconds: UInt64) {
        var time = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        var rest = timespec()
        while nanosleep(&time, &rest) != 0, errno == EINTR { time = rest }
    }

    /// Makes the calling thread one that waits for a free core instead of taking the one of a thread that is running.
    ///
    /// These threads are woken several times in a batch. Where every core is busy, each time would put an event loop aside
    /// in the midst of its work, and find little to do; so the loop ends its turn first, and there is more in a batch. The
    /// share of the processor stays the same, and an idle core is used at once (sched(7), `SCHED_BATCH`).
    private static func letOthersFinish() {
        // The policy is not in the Glibc module. Where it is refused, the thread works on as any other.
        let batch: Int32 = 3
        var parameters = sched_param(sched_priority: 0)
        _ = sched_setscheduler(0, batch, &parameters)
    }

    /// Names the calling thread. `pthread_setname_np` is not in the Glibc module; a system without `/proc` shows no name.
    private static func show(_ name: String) {
        let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        let bytes = Array(name.utf8.prefix(15))
        _ = write(file, bytes, bytes.count)
        close(file)
    }
}
