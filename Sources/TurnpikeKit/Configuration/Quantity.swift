/// Numbers with units, as a configuration and the command line write them.
package enum Quantity {
    private static let durations: [(suffix: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]
    private static let sizes: [(suffix: String, bytes: Int)] = [
        ("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("B", 1), ("", 1),
    ]

    /// `250ms`, `10s`, `5m`, `2h` or `7d`; nil for anything else.
    package static func duration(_ text: String) -> Duration? {
        for (suffix, milliseconds) in durations where text.hasSuffix(suffix) {
            guard let count = Int64(text.dropLast(suffix.count)), count >= 0 else { continue }
            let (total, overflows) = count.multipliedReportingOverflow(by: milliseconds)
            return overflows ? nil : .milliseconds(total)
        }
        return nil
    }

    static func bytes(_ text: String) -> Int? {
        for (suffix, bytes) in sizes where text.hasSuffix(suffix) {
            guard let count = Int(text.dropLast(suffix.count).filter { $0 != " " && $0 != "_" }), count >= 0 else {
                continue
            }
            let (total, overflows) = count.multipliedReportingOverflow(by: bytes)
            return overflows ? nil : total
        }
        return nil
    }
}
