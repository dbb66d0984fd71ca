import Glibc

/// Nanoseconds of the monotonic clock.
package func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// The whole nanoseconds of a duration, to be added to a reading of the monotonic clock: negative ones are zero, and none
/// are more than half of what fits (292 years), so that the sum fits too.
///
/// A function and not a property of `Duration`: the kit has that one, for the targets that know no database.
package func wholeNanoseconds(of duration: Duration) -> UInt64 {
    let (seconds, attoseconds) = duration.components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    let (whole, isOver) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    return isOver ? .max / 2 : min(whole, .max / 2 - 1_000_000_000) + UInt64(attoseconds / 1_000_000_000)
}
