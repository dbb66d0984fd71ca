import Glibc

/// A moment: microseconds since 1970 in UTC, as every table stores it.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Microseconds since 1970-01-01T00:00:00Z.
    public let microseconds: Int64

    /// Makes a moment from microseconds since 1970.
    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    /// The wall clock now.
    public static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }

    /// Earlier is less.
    public static func < (left: Timestamp, right: Timestamp) -> Bool { left.microseconds < right.microseconds }

    /// The moment that lies `duration` later; the last or first one that there is where that is none.
    public func advanced(by duration: Duration) -> Timestamp {
        let (seconds, attoseconds) = duration.components
        let (whole, isTooLong) = seconds.multipliedReportingOverflow(by: 1_000_000)
        // Both have the duration's sign: where the first sum overflows, the second does not turn back.
        let (sum, overflows) = microseconds.addingReportingOverflow(whole)
        let (moment, overflowsAtLast) = sum.addingReportingOverflow(attoseconds / 1_000_000_000_000)
        guard !isTooLong, !overflows, !overflowsAtLast else {
            return Timestamp(microseconds: duration < .zero ? .min : .max)
        }
        return Timestamp(microseconds: moment)
    }
}
