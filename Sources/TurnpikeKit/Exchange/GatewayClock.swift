import Persistence

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
        monotonicNanoseconds: { monotonicNow }, wallMicroseconds: { Timestamp.now().microseconds })

    /// Nanoseconds of the machine's own monotonic clock, for what no test decides: the time-outs of a socket.
    package static var monotonicNow: UInt64 { Persistence.monotonicNanoseconds() }
}
