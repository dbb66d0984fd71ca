import Persistence
import Testing

@Suite struct NanosecondsTests {
    @Test func durationsAreNeverNegativeAndNeverTooLong() {
        #expect(wholeNanoseconds(of: .milliseconds(1_500)) == 1_500_000_000)
        #expect(wholeNanoseconds(of: .nanoseconds(-1)) == 0)
        #expect(wholeNanoseconds(of: .seconds(Int64.max)) == UInt64.max / 2)
    }
}
