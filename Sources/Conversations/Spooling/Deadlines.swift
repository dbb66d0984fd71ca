import DequeModule
import Persistence

/// Tells callers that a time is over: all of them wait equally long, so the one that began first is the next.
///
/// A thread of its own and not a timer per commit: thousands begin each second, and hardly any of them is late. It wakes
/// a hundred times per duration at most, for all whose time is over by then: a wake-up for each of them cost as much as a
/// twentieth of an exchange. So a caller is told up to a hundredth of the duration too late.
///
/// A process that was stopped itself cannot tell who is late: the answers may lie there. So where this thread comes much too
/// late, all that are due have a moment more.
final class Deadlines: Sendable {
    typealias Action = @Sendable () -> Void

    struct State {
        /// In the order of their times; of those that were cancelled the action is gone.
        var waiting: Deque<(time: UInt64, action: Action?)> = []
        /// The number of the first that waits: they are counted as they come.
        var first: UInt64 = 0
        /// Whether the thread wakes by itself for what waits.
        var isTimed = false
        var isClosed = false
        /// What was due by then has, until `resumed`, the moment more.
        private var excused: UInt64 = 0
        private var resumed: UInt64 = 0

        /// By how much the thread comes too late when it was not the machine's ordinary work.
        private static let lateness: UInt64 = 500_000_000
        private static let moment: UInt64 = 500_000_000

        /// When the first that waits is to be told.
        mutating func dueTime(of first: UInt64, at now: UInt64, delay: UInt64) -> UInt64 {
            if first > excused, now > first + delay + Self.lateness { (excused, resumed) = (now, now + Self.moment) }
            return first <= excused ? max(first, resumed) : first
        }
    }

    private let nanoseconds: UInt64
    private let monitor = Monitor(State())
    private let ended = Countdown(1)

    init(_ duration: Duration) {
        nanoseconds = wholeNanoseconds(of: duration)
        let delay = nanoseconds / 100
        BlockingThread.start("deadlines") { [monitor, ended] in
            while let due = Self.next(monitor, delay: delay) { for action in due { action() } }
            ended.leave()
        }
    }

    /// Runs `action` when the time is over. It is quick, and does nothing where its answer came before.
    @discardableResult
    func add(_ action: @escaping Action) -> Deadline {
        let (number, mustWake) = monitor.withLock { state in
            state.waiting.append((monotonicNanoseconds() + nanoseconds, action))
            return (state.first + UInt64(state.waiting.count) - 1, !state.isTimed)
        }
        if mustWake { monitor.signal() }
        return Deadline(deadlines: self, number: number)
    }

    fileprivate func cancel(_ number: UInt64) {
        // Let go of behind the lock, and while it is still in the processor's cache: on this thread, not two seconds later.
        var action: Action?
        monitor.withLock { state in
            guard number >= state.first else { return }
            swap(&action, &state.waiting[Int(number - state.first)].action)
            while let first = state.waiting.first, first.action == nil { state.removeFirst() }
        }
    }

    /// Ends the thread; what still waits is told at once.
    func close() async {
        monitor.withLock { $0.isClosed = true }
        monitor.broadcast()
        await ended.wait()
    }

    /// All that are due, once there are any; nil when it is over.
    private static func next(_ monitor: Monitor<State>, delay: UInt64) -> [Action]? {
        monitor.wait { state in
            guard let first = state.waiting.first else {
                state.isTimed = false
                return state.isClosed ? .found(nil) : .wait
            }
            let now = monotonicNanoseconds()
            state.isTimed = true
            let due = state.dueTime(of: first.time, at: now, delay: delay)
            guard state.isClosed || due <= now else { return .waitUntil(due + delay) }
            return .found(state.takeDue(at: now))
        }
    }
}

/// One of the times of `Deadlines`, for a caller whose answer may come before it.
struct Deadline: Sendable {
    fileprivate let deadlines: Deadlines
    fileprivate let number: UInt64

    /// Its action is let go of, and runs no more unless it does already.
    func cancel() { deadlines.cancel(number) }
}

extension Deadlines.State {
    fileprivate mutating func removeFirst() {
        waiting.removeFirst()
        first += 1
    }

    fileprivate mutating func takeDue(at now: UInt64) -> [Deadlines.Action] {
        var due: [Deadlines.Action] = []
        while let next = waiting.first, isClosed || next.time <= now {
            if let action = next.action { due.append(action) }
            removeFirst()
        }
        return due
    }
}
