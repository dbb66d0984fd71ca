/// In which order the servers are tried: as they are listed, so that all processes come to the same one, but those that
/// failed a moment ago last, because a dead machine costs a time-out each time.
struct HostOrder {
    private static let penalty: UInt64 = 10_000_000_000

    private var failedAt: [UInt64?]
    /// The server that new connections went to last.
    private(set) var current: Int?

    init(count: Int) { failedAt = Array(repeating: nil, count: count) }

    func candidates(at now: UInt64) -> [Int] {
        let isPenalised = failedAt.map { $0.map { now < $0 + Self.penalty } ?? false }
        return failedAt.indices.filter { !isPenalised[$0] } + failedAt.indices.filter { isPenalised[$0] }
    }

    mutating func failed(_ host: Int, at now: UInt64) { failedAt[host] = now }

    /// True when connections went elsewhere before: those are then to be given up, because two servers may show
    /// different states.
    mutating func succeeded(_ host: Int) -> Bool {
        failedAt[host] = nil
        defer { current = host }
        return current != nil && current != host
    }
}
