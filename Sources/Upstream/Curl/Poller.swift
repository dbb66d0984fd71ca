import CCurl
import Glibc

/// An epoll instance with an eventfd that wakes its waiter. `wake` may be called from any thread, the rest from one.
final class Poller: Sendable {
    /// What happened to a descriptor, in `EPOLL…` bits.
    struct Event {
        var descriptor: Int32
        var bits: UInt32
    }

    private let epoll: Int32
    private let wakeUp: Int32
    private static let maxEvents = 256

    init() throws {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw SystemError(operation: "epoll_create1", code: errno) }
        wakeUp = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard wakeUp >= 0 else { throw SystemError(operation: "eventfd", code: errno) }
        change(wakeUp, to: EPOLLIN.rawValue, isRegistered: false)
    }

    deinit {
        if wakeUp >= 0 { close(wakeUp) }
        if epoll >= 0 { close(epoll) }
    }

    /// Ends a wait that is under way, or the next one.
    func wake() {
        var one: UInt64 = 1
        _ = write(wakeUp, &one, MemoryLayout<UInt64>.size)
    }

    /// Watches a descriptor for `bits`.
    func change(_ descriptor: Int32, to bits: UInt32, isRegistered: Bool) {
        var event = epoll_event()
        event.events = bits
        event.data.fd = descriptor
        if epoll_ctl(epoll, isRegistered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &event) == 0 { return }
        // The kernel forgets a descriptor that was closed, and its number may come back: then the other call is right.
        _ = epoll_ctl(epoll, isRegistered ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event)
    }

    func remove(_ descriptor: Int32) {
        var event = epoll_event()
        _ = epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, &event)
    }

    /// Waits until `deadline` (nanoseconds, on the clock of `now`), calls `woke`, then `body` for every event.
    func wait(until deadline: UInt64, now: UInt64, woke: () -> Void, _ body: (Event) -> Void) {
        withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: Poller.maxEvents) { events in
            let count = epoll_wait(
                epoll, events.baseAddress, Int32(Poller.maxEvents), Poller.milliseconds(deadline, now))
            woke()
            for index in 0..<max(0, Int(count)) {
                let event = events[index]
                if event.data.fd == wakeUp {
                    drain()
                } else {
                    body(Event(descriptor: event.data.fd, bits: event.events))
                }
            }
        }
    }

    /// Rounded up, so that nothing is woken just before its time.
    private static func milliseconds(_ deadline: UInt64, _ now: UInt64) -> Int32 {
        guard deadline != .max else { return -1 }
        guard deadline > now else { return 0 }
        return Int32(min((deadline - now + 999_999) / 1_000_000, 3_600_000))
    }

    private func drain() {
        var count: UInt64 = 0
        _ = read(wakeUp, &count, MemoryLayout<UInt64>.size)
    }
}
