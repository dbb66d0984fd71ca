/// Rows that wait to be written to the disk, oldest first, in batches of one record each.
///
/// A batch is taken and put back as a whole, so that neither costs more where many rows wait: whoever has a row to
/// leave waits for the same lock, on an event loop.
struct WaitingRows {
    /// Rows in one record.
    static let batchSize = 512

    private var batches: [[ActivityRow]] = []
    private(set) var count = 0

    mutating func append(_ row: ActivityRow) {
        count += 1
        if let last = batches.indices.last, batches[last].count < Self.batchSize {
            batches[last].append(row)
        } else {
            batches.append([row])
        }
    }

    /// The oldest rows; nil if none wait.
    mutating func takeBatch() -> [ActivityRow]? {
        guard !batches.isEmpty else { return nil }
        let batch = batches.removeFirst()
        count -= batch.count
        return batch
    }

    /// The batch that was taken last goes back to its place.
    mutating func putBack(_ batch: [ActivityRow]) {
        batches.insert(batch, at: 0)
        count += batch.count
    }
}
