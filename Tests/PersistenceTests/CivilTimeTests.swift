import Persistence
import Testing

@Suite struct CivilTimeTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00", "000000"), (-1, "1969-12-31T23:59:59", "999999"),
        (1_795_234_442_000_001, "2026-11-21T04:14:02", "000001"),
        // Leap days, of a century too, and the day behind one that is none.
        (951_782_400_000_000, "2000-02-29T00:00:00", "000000"),
        (4_107_542_400_000_000, "2100-03-01T00:00:00", "000000"),
        (1_709_251_199_120_000, "2024-02-29T23:59:59", "120000"),
        (-62_135_596_800_000_000, "0001-01-01T00:00:00", "000000"),
    ])
    func aMomentIsWrittenInTheCalendar(_ microseconds: Int64, _ text: String, _ fraction: String) {
        let time = Timestamp(microseconds: microseconds).civil
        #expect(time.text == text)
        #expect(time.microsecondText == fraction)
    }

    @Test func theDaysOfFourHundredYearsFollowEachOther() {
        var last = Timestamp(microseconds: 0).civil
        for day in 1...146_097 {
            let next = Timestamp(microseconds: Int64(day) * 86_400_000_000).civil
            let isNextDay = next.day == last.day + 1 && next.month == last.month && next.year == last.year
            let isNextMonth = next.day == 1 && last.day >= 28 && next.month == last.month % 12 + 1
            #expect(isNextDay || isNextMonth)
            last = next
        }
        #expect(last.text == "2370-01-01T00:00:00")
    }
}
