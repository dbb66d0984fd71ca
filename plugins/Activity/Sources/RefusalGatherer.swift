import Persistence

/// Gathers requests that were refused before anybody knew who asked: one row for each second, status and reason, which
/// counts them. A flood of requests without a key must not fill the disk.
struct RefusalGatherer {
    private struct Reason: Hashable {
        var status: Int
        var errorCode: String?
    }

    /// How long a row takes more requests, in microseconds.
    static let period: Int64 = 1_000_000

    private var rows: [Reason: ActivityRow] = [:]

    /// Takes `row` in, and gives those whose second is over when it came.
    mutating func add(_ row: ActivityRow) -> [ActivityRow] {
        let due = takeDue(at: row.created)
        let reason = Reason(status: row.status, errorCode: row.errorCode)
        guard var known = rows[reason] else {
            rows[reason] = row
            return due
        }
        known.requests += row.requests
        known.requestBytes += row.requestBytes
        known.responseBytes += row.responseBytes
        rows[reason] = known
        return due
    }

    /// The rows that began a second ago or earlier.
    mutating func takeDue(at now: Timestamp) -> [ActivityRow] {
        let due = rows.filter { $0.value.created.microseconds + Self.period <= now.microseconds }
        for reason in due.keys { rows[reason] = nil }
        return Array(due.values)
    }

    mutating func takeAll() -> [ActivityRow] {
        defer { rows = [:] }
        return Array(rows.values)
    }
}
