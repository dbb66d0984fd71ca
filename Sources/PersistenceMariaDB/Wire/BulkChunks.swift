import Persistence

/// The values of many rows in chunks, each of which fits into a packet together with what surrounds it. A row that is
/// big itself is a chunk of its own: its values are then sent in pieces.
struct BulkChunks: Sequence, IteratorProtocol {
    private static let rowLimit = 1_024

    private let values: [SQLValue]
    private let width: Int
    private let limit: Int
    private var position = 0

    /// - Parameter limit: Bytes of a chunk.
    init(_ values: [SQLValue], width: Int, limit: Int) {
        self.values = values
        self.width = Swift.max(1, width)
        self.limit = Swift.min(limit, 4 << 20)
    }

    mutating func next() -> ArraySlice<SQLValue>? {
        let start = position
        var end = start
        var bytes = 0
        while end < values.count, end - start < Self.rowLimit * width {
            let row = rowBytes(at: end)
            guard end == start || (bytes + row <= limit && row <= ValueBinds.pieceSize) else { break }
            end += width
            bytes += row
            if row > ValueBinds.pieceSize { break }
        }
        position = end
        return start == end ? nil : values[start..<end]
    }

    /// What the row that begins there adds to a packet.
    private func rowBytes(at start: Int) -> Int {
        var bytes = 12 * width
        values.withUnsafeBufferPointer { values in
            for index in start..<start + width { bytes += values[index].byteCount }
        }
        return bytes
    }
}
