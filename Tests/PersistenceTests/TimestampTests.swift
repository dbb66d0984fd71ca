import Persistence
import Testing

@Suite struct TimestampTests {
    @Test func aMomentIsMovedByMicroseconds() {
        let moment = Timestamp(microseconds: 5)
        #expect(moment.advanced(by: .milliseconds(1_500)) == Timestamp(microseconds: 1_500_005))
        #expect(moment.advanced(by: .zero - .milliseconds(1_500)) == Timestamp(microseconds: -1_499_995))
    }

    /// Rows that were written by hand have such moments, and a configuration may have such durations.
    @Test(arguments: [Duration.microseconds(1), .seconds(1), .seconds(86_400 * 200_000_000), .seconds(Int64.max)])
    func whatLiesBehindTheLastMomentIsTheLastOne(_ duration: Duration) {
        let (first, last) = (Timestamp(microseconds: .min), Timestamp(microseconds: .max))
        #expect(last.advanced(by: duration) == last)
        #expect(first.advanced(by: .zero - duration) == first)
    }
}
