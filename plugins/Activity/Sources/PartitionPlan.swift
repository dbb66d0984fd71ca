import Persistence

/// Which partitions of the activity table are to be made or dropped. A value without I/O.
///
/// Partitions are a day wide when rows are kept for a fortnight or less, else a week, and end at whole multiples of that
/// since 1970. They are named by their upper bound, and the last one, `pmax`, takes what lies ahead of all others:
/// it is split while it is empty, because splitting moves its rows.
struct PartitionPlan: Sendable {
    enum Change: Sendable, Equatable {
        /// Splits the last partition at these bounds.
        case make([Int64])
        /// Drops the partitions with these upper bounds.
        case drop([Int64])
    }

    /// How many partitions there are ahead of the one that rows go to now.
    static let ahead = 4
    private static let day: Int64 = 86_400_000_000

    /// Upper bounds in microseconds, ascending; without the last partition's, which has none.
    let bounds: [Int64]
    let retention: Duration

    func change(at now: Timestamp) -> Change? {
        let width = retention <= .seconds(14 * 86_400) ? Self.day : 7 * Self.day
        let wanted = (now.microseconds / width + 1 + Int64(Self.ahead)) * width
        // What is made first holds everything that is older, too.
        let first = max(bounds.last ?? 0, now.microseconds) / width * width + width
        let missing = Array(stride(from: first, through: wanted, by: Int64.Stride(width)))
        if !missing.isEmpty { return .make(missing) }
        let limit = now.advanced(by: .zero - retention).microseconds
        let old = bounds.filter { $0 <= limit }
        return old.isEmpty ? nil : .drop(old)
    }
}

extension PartitionPlan.Change {
    /// The statement, without values: partitions are described by literals only.
    var statement: String {
        switch self {
        case .make(let bounds):
            let made = bounds.map { "PARTITION p\($0) VALUES LESS THAN (\($0)), " }.joined()
            return "ALTER TABLE activity REORGANIZE PARTITION pmax INTO "
                + "(\(made)PARTITION pmax VALUES LESS THAN MAXVALUE)"
        case .drop(let bounds):
            return "ALTER TABLE activity DROP PARTITION \(bounds.map { "p\($0)" }.joined(separator: ", "))"
        }
    }
}
