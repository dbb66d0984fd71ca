import Persistence

/// The rows of a bulk statement in chunks, each of which fits into a packet together with what surrounds it. A row that is
/// big itself goes alone: its values are sent in pieces.
struct RowChunks: Sequence, IteratorProtocol {
    enum Chunk {
        case together(Range<Int>, BulkRows.Run)
        case alone(Int, BulkRows.Run)
    }

    static let rowLimit = 1_024

    private let rows: BulkRows
    private let limit: Int
    private let most: Int
    private let together: Bool
    private var runs: ArraySlice<BulkRows.Run>
    private var position = 0

    /// - Parameters:
    ///   - limit: Bytes of a chunk.
    ///   - together: Whether rows are sent without waiting for each answer.
    ///   - most: Rows of a chunk.
    init(_ rows: BulkRows, limit: Int, together: Bool = Statement.takesRows, most: Int = rowLimit) {
        self.rows = rows
        self.together = together
        self.most = most
        self.limit = Swift.min(limit, 4 << 20)
        runs = rows.runs[...]
    }

    mutating func next() -> Chunk? {
        guard let run = runs.first else { return nil }
        let start = position
        defer { if position == run.rows.upperBound { runs = runs.dropFirst() } }
        if !together || isBig(start) {
            position += 1
            return .alone(start, run)
        }
        var bytes = 0
        while position < run.rows.upperBound, position - start < most, !isBig(position) {
            bytes += rows.size(of: position)
            guard position == start || bytes <= limit else { break }
            position += 1
        }
        return .together(start..<position, run)
    }

    private func isBig(_ row: Int) -> Bool { rows.size(of: row) > Swift.min(ValueBinds.pieceSize, limit) }
}
