/// A moment as people write it: a date of the Gregorian calendar and a time of day, in UTC.
package struct CivilTime: Equatable, Sendable {
    package let year: Int64
    /// 1 is January.
    package let month: Int64
    package let day: Int64
    /// Since the day began; a day has no leap seconds.
    package let microsecondOfDay: Int64

    /// `2026-11-21T04:14:02`: ISO 8601 to the second, what is smaller is left away. Without the `Z` that ends it.
    package var text: String {
        let second = microsecondOfDay / 1_000_000
        let date = "\(padded(year, to: 4))-\(padded(month, to: 2))-\(padded(day, to: 2))"
        let time = [second / 3_600, second / 60 % 60, second % 60].map { padded($0, to: 2) }
        return "\(date)T\(time.joined(separator: ":"))"
    }

    /// `000001`: what `text` leaves away.
    package var microsecondText: String { padded(microsecondOfDay % 1_000_000, to: 6) }

    private func padded(_ number: Int64, to width: Int) -> String {
        let digits = "\(number)"
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}

extension Timestamp {
    /// The same moment in the calendar: `civil_from_days` of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    package var civil: CivilTime {
        let (days, ofDay) = floored(microseconds, by: 86_400_000_000)
        let (era, dayOfEra) = floored(days + 719_468, by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        // Years begin in March: a leap day is then the last of its year.
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return CivilTime(
            year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month: month,
            day: dayOfYear - (153 * shifted + 2) / 5 + 1, microsecondOfDay: ofDay)
    }

    private func floored(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
