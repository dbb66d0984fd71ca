import Persistence

/// Times as the dialects of older systems write them: ISO 8601 in UTC, to the microsecond.
enum ISOTime {
    /// Such as `2026-11-21T04:14:02.000001Z`.
    static func text(_ time: Timestamp) -> String {
        let (seconds, micros) = floored(time.microseconds, by: 1_000_000)
        let (days, second) = floored(seconds, by: 86_400)
        let (year, month, day) = date(days)
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let fraction = String(String(1_000_000 + micros).dropFirst())
        let clock = "\(two(second / 3_600)):\(two(second / 60 % 60)):\(two(second % 60)).\(fraction)Z"
        let padded = String(repeating: "0", count: max(0, 4 - "\(year)".count)) + "\(year)"
        return "\(padded)-\(two(month))-\(two(day))T\(clock)"
    }

    private static func floored(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let remainder = ((value % divisor) + divisor) % divisor
        return ((value - remainder) / divisor, remainder)
    }

    /// The civil date of a day since 1970: Howard Hinnant's `civil_from_days`.
    private static func date(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = floored(days + 719_468, by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }
}
