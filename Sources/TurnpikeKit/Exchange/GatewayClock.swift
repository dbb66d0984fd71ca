import Glibc

/// The two clocks of an exchange, injectable so that tests decide what time it is.
public struct GatewayClock: Sendable {
    /// Monotonic nanoseconds; only differences mean something.
    public var monotonicNanoseconds: @Sendable () -> UInt64
    /// Microseconds since 1970-01-01 UTC: the unit of every stored time.
    public var wallMicroseconds: @Sendable () -> Int64

    public init(
        monotonicNanoseconds: @escaping @Sendable () -> UInt64, wallMicroseconds: @escaping @Sendable () -> Int64
    ) {
        self.monotonicNanoseconds = monotonicNanoseconds
        self.wallMicroseconds = wallMicroseconds
    }

    /// The machine's own clocks (`CLOCK_MONOTONIC`, `CLOCK_REALTIME`).
    public static let system = GatewayClock(
        monotonicNanoseconds: {
            let time = read(CLOCK_MONOTONIC)
            return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
        },
        wallMicroseconds: {
            let time = read(CLOCK_REALTIME)
            return Int64(time.tv_sec) &* 1_000_000 &+ Int64(time.tv_nsec) / 1_000
        })

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        clock_gettime(clock, &time)
        return time
    }
}
