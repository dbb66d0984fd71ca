import DequeModule
import Persistence

/// Tells callers that a time is over: all of them wait equally long, so the one that began first is the next.
///
/// A thread of its own and not a timer per commit: thousands begin each second, and hardly any of them is late.
final class Deadlines: Sendable {
    private struct State {
        var waiting: Deque<(time: UInt64, action: @Sendable () -> Void)> = []
        var isClosed = false
    }

    private let nanoseconds: UInt64
    private let monitor = Monitor(State())
    private let ended = Countdown(1)

    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        nanoseconds = UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds) / 1_000_000_000)
        BlockingThread.start("deadlines") { [monitor, ended] in
            while let action = Self.next(monitor) { action() }
            ended.leave()
        }
    }

    /// Runs `action` when the time is over. It is quick, and does nothing where its answer came before.
    func add(_ action: @escaping @Sendable () -> Void) {
        let isFirst = monitor.withLock { state in
            state.waiting.append((monotonicNanoseconds() + nanoseconds, action))
            return state.waiting.count == 1
        }
        if isFirst { monitor.signal() }
    }

    /// Ends the thread; what still waits is told at once.
    func close() async {
        monitor.withLock { $0.isClosed = true }
        monitor.broadcast()
        await ended.wait()
    }

    private static func next(_ monitor: Monitor<State>) -> (@Sendable () -> Void)? {
        monitor.wait { state in
            guard let first = state.waiting.first else { return state.isClosed ? .found(nil) : .wait }
            guard state.isClosed || first.time <= monotonicNanoseconds() else { return .waitUntil(first.time) }
            state.waiting.removeFirst()
            return .found(first.action)
        }
    }
}
