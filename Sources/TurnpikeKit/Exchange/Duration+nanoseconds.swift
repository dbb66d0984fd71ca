extension Duration {
    /// Whole nanoseconds, to be added to a reading of a monotonic clock: negative ones are zero, and none are more than
    /// half of what fits (292 years), so that the sum fits too.
    package var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (whole, isOver) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        return isOver ? .max / 2 : min(whole, .max / 2 - 1_000_000_000) + UInt64(attoseconds / 1_000_000_000)
    }
}
