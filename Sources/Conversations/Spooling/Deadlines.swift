import DequeModule
import Persistence

/// Tells callers that a time is over: all of them wait equally long, so the one that began first is the next.
///
/// A thread of its own and not a timer per commit: thousands begin each second, and hardly any of them is late. It wakes
/// a hundred times per duration at most, for all whose time is over by then: a wake-up for each of them cost as much as a
/// twentieth of an exchange. So a caller is told up to a hundredth of the duration too late.
final class Deadlines: Sendable {
    fileprivate struct State {
        var waiting: Deque<(time: UInt64, action: @Sendable () -> Void)> = []
        var isClosed = false
    }

    private let nanoseconds: UInt64
    private let monitor = Monitor(State())
    private let ended = Countdown(1)

    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        nanoseconds = UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds) / 1_000_000_000)
        let delay = nanoseconds / 100
        BlockingThread.start("deadlines") { [monitor, ended] in
            while let due = Self.next(monitor, delay: delay) { for action in due { action() } }
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

    /// All that are due, once there are any; nil when it is over.
    private static func next(_ monitor: Monitor<State>, delay: UInt64) -> [@Sendable () -> Void]? {
        monitor.wait { state in
            guard let first = state.waiting.first else { return state.isClosed ? .found(nil) : .wait }
            let now = monotonicNanoseconds()
            guard state.isClosed || first.time <= now else { return .waitUntil(first.time + delay) }
            return .found(state.takeDue(at: now))
        }
    }
}

extension Deadlines.State {
    fileprivate mutating func takeDue(at now: UInt64) -> [@Sendable () -> Void] {
        var due: [@Sendable () -> Void] = []
        while let first = waiting.first, isClosed || first.time <= now {
            due.append(first.action)
            waiting.removeFirst()
        }
        return due
    }
}
