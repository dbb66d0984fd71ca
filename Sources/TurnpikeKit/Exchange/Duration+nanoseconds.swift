import Persistence

extension Duration {
    /// Whole nanoseconds, to be added to a reading of a monotonic clock: negative ones are zero, and none are more than
    /// half of what fits (292 years), so that the sum fits too.
    package var nanoseconds: UInt64 { wholeNanoseconds(of: self) }
}
