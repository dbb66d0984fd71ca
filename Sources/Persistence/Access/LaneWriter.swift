/// Writes the batches of a lane: one transaction, again when it must be, item by item when one is bad.
struct LaneWriter<Item: Sendable, Output: Sendable>: Sendable {
    typealias Entry = LaneEntry<Item, Output>

    let database: any Database
    let retry: RetryPolicy
    let apply: @Sendable (any Connection, [Item]) throws -> [Output]

    func write(_ batch: [Entry]) {
        do {
            var items: [Item] = []
            items.reserveCapacity(batch.count)
            for entry in batch { items.append(entry.item) }
            let outputs = try commit(items)
            for index in batch.indices { batch[index].answer(.success(outputs[index])) }
        } catch {
            recover(batch, from: error)
        }
    }

    private func commit(_ items: [Item]) throws -> [Output] {
        let outputs = try retry.attempt(when: \.isRetryable) {
            try database.blockingWrite { connection in
                let outputs = try apply(connection, items)
                precondition(outputs.count == items.count, "a lane gives one output per item")
                return outputs
            }
        }
        database.threads.noteAnswer()
        return outputs
    }

    /// An error that belongs to one item must not fail its neighbours; anything else is everybody's. A refusal may be
    /// either: where it is everybody's, trying them one by one is soon over, because nothing is waited for.
    private func recover(_ batch: [Entry], from error: any Error) {
        let mayBeOfOneItem = (error as? DatabaseError).map { $0.failure == .data || $0.failure == .refuse } ?? true
        guard mayBeOfOneItem, batch.count > 1 else {
            for entry in batch { entry.answer(.failure(error)) }
            return
        }
        for entry in batch { write([entry]) }
    }
}
