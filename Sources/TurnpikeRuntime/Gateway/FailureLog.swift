/// Decides which failures that come by the thousand get a line in the log: the first of an outage, one per interval with
/// the number since the last, and one when it is over. A value without a clock: it is told the time, in nanoseconds.
///
/// By the error's code: an outage has few of them, and one says nothing about another.
struct FailureLog {
    /// What there is to write down.
    enum Line: Equatable {
        case begins
        /// So many since the last line.
        case goesOn(Int)
        /// Nothing failed any more for an interval; so many did in all.
        case ended(code: String, Int)
    }

    private struct Episode {
        var total = 0
        var unwritten = 0
        var written: UInt64
        var last: UInt64
    }

    /// Also how long nothing fails before an outage is over.
    static let interval: UInt64 = 10_000_000_000

    private var episodes: [String: Episode] = [:]

    /// Whether there is anything that may end.
    var isEmpty: Bool { episodes.isEmpty }

    /// Counts a failure.
    ///
    /// - Returns: nil where it gets no line.
    mutating func add(_ code: String, at now: UInt64) -> Line? {
        guard var episode = episodes[code] else {
            episodes[code] = Episode(total: 1, written: now, last: now)
            return .begins
        }
        episode.total += 1
        episode.unwritten += 1
        episode.last = now
        defer { episodes[code] = episode }
        guard now >= episode.written &+ Self.interval else { return nil }
        defer { (episode.unwritten, episode.written) = (0, now) }
        return .goesOn(episode.unwritten)
    }

    /// The outages that are over by now, which are forgotten.
    mutating func takeEnded(at now: UInt64) -> [Line] {
        let ended = episodes.filter { now >= $0.value.last &+ Self.interval }
        for code in ended.keys { episodes[code] = nil }
        return ended.sorted { $0.key < $1.key }.map { .ended(code: $0.key, $0.value.total) }
    }
}
