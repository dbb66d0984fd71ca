/// Batched transactions by shard key: the high-rate way to write.
///
/// Items come from many exchanges at once. A thread takes everything pending (up to the limits) and applies it in **one**
/// transaction; where much waits, or a transaction hangs, and the database can write from several connections, another thread
/// takes the items of other shards. There is no timer unless the limits ask for one, because items gather while the previous commit runs. Who waits is told after COMMIT.
///
/// - When the values of an item are refused, or the statement for a reason that is not known, the items of the batch are
///   done again one by one, so that only the bad one fails.
/// - When another transaction was in the way, or the answer to COMMIT was lost, the whole batch is done again after a
///   pause with jitter. So `apply` must recognise an item that it has already stored (a turn looks for its id).
/// - When the database is not available, all items of the batch fail with that error at once.
/// - When too much waits, a new item is refused with `overloaded`; nothing is dropped that was taken.
///
/// A lane lives as long as its database: `Database.close()` finishes what was taken and ends the threads.
public final class TransactionLane<Item: LaneItem, Output: Sendable>: Sendable {
    /// Applies a batch inside a transaction, and gives one output per item, in order. It may run again for the same
    /// items, and it changes nothing but the database and what it remembers of its attempts.
    public typealias Apply = @Sendable (any Connection, [Item]) throws -> [Output]

    private typealias Entry = LaneEntry<Item, Output>

    private let queue: Monitor<LaneQueue>
    private let ended: Countdown
    private let threads: DatabaseThreads
    private let registration: DatabaseThreads.Registration?

    /// Makes a lane and starts its threads.
    ///
    /// - Parameter name: Shown in the names of its threads.
    public convenience init(
        _ name: String, on database: any Database, limits: LaneLimits = LaneLimits(), apply: @escaping Apply
    ) {
        self.init(name, on: database, limits: limits, retry: .standard, apply: apply)
    }

    package init(
        _ name: String, on database: any Database, limits: LaneLimits, retry: RetryPolicy, apply: @escaping Apply
    ) {
        threads = database.threads
        let count = min(limits.threads, threads.shards)
        let (queue, ended) = (Monitor(LaneQueue(limits, threads: count)), Countdown(count))
        (self.queue, self.ended) = (queue, ended)
        let writer = LaneWriter(database: database, retry: retry, apply: apply)
        for index in 0..<count {
            BlockingThread.start("\(name)-\(index)") {
                var done: LaneQueue.Receipt?
                while let batch = Self.next(queue, after: done) {
                    writer.write(Self.entries(batch.tickets))
                    done = batch.receipt
                }
                ended.leave()
            }
        }
        registration = threads.register { await Self.drain(queue, ended) }
        if registration == nil { Self.close(queue) }
    }

    /// Writes an item and waits for its commit.
    ///
    /// A task that is cancelled meanwhile still waits: what was taken will be written.
    /// - Throws: `DatabaseError`, or what `apply` throws for this item.
    public func write(_ item: Item) async throws -> Output {
        try await withCheckedThrowingContinuation { continuation in
            do throws(DatabaseError) {
                try enqueue(item) { continuation.resume(with: $0) }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// Hands over an item and does not wait.
    ///
    /// - Parameter completion: Told the result once, on the lane's thread or on the task that ends the lane: it must not block.
    /// - Throws: `overloaded`, or `unavailable` after the database was closed; `completion` is then not called.
    public func enqueue(
        _ item: Item, completion: @escaping @Sendable (Result<Output, any Error>) -> Void
    ) throws(DatabaseError) {
        try place(item, completion: completion)?.wake()
    }

    /// The same for a caller who may have company: the lane's thread is left alone until the caller wakes it.
    ///
    /// - Returns: What has to be woken, once the others that are about to place something have done so: behind
    ///   `Task.yield()`, where an event loop has got to all that came together. Nil: nobody waits for that.
    package func place(
        _ item: Item, completion: @escaping @Sendable (Result<Output, any Error>) -> Void
    ) throws(DatabaseError) -> Sleeper? {
        let entry = LaneEntry(item: item, bytes: item.byteCount, completion: completion)
        switch queue.withLock({ $0.admit(entry, shardKey: item.shardKey, now: monotonicNanoseconds) }) {
        case .admitted(wake: true): return Sleeper(queue: queue)
        case .admitted(wake: false): return nil
        case .overloaded: throw DatabaseError(.overloaded, "too much waits to be written")
        case .closed: throw DatabaseError(.unavailable, "the database is closed")
        }
    }

    /// A thread of the lane that may be waiting for work which is there.
    package struct Sleeper: Sendable {
        fileprivate let queue: Monitor<LaneQueue>

        /// To be called in any case.
        package func wake() { queue.signal() }
    }

    /// How many items wait, for metrics.
    public var pending: Int { queue.withLock { $0.count } }

    /// Takes no more items, writes those that were taken, and ends the threads. `Database.close()` does it too.
    public func drain() async {
        await Self.drain(queue, ended)
        if let registration { threads.unregister(registration) }
    }

    /// The same, but waits no longer than `limit`, and hardly while the database answers nobody. Whoever is not answered by
    /// then is told `unavailable`; what a thread has in its hands at that moment may be written all the same.
    package func drain(within limit: Duration) async {
        let isDone = await threads.waitAtEnd(limit) { [queue, ended] in await Self.drain(queue, ended) }
        if !isDone {
            for entry in Self.entries(queue.withLock { $0.abandon() }) {
                entry.answer(.failure(DatabaseError(.unavailable, "it was not written before the end")))
            }
        }
        if let registration { threads.unregister(registration) }
    }

    /// Nothing else is in the queue.
    private static func entries(_ tickets: [LaneTicket]) -> [Entry] {
        tickets.map { unsafeDowncast($0, to: Entry.self) }
    }

    private static func drain(_ queue: Monitor<LaneQueue>, _ ended: Countdown) async {
        close(queue)
        await ended.wait()
    }

    private static func close(_ queue: Monitor<LaneQueue>) {
        queue.withLock { $0.close() }
        queue.broadcast()
    }

    private static func next(_ queue: Monitor<LaneQueue>, after done: LaneQueue.Receipt?) -> LaneQueue.Batch? {
        var done = done
        let (batch, mustWake) = queue.wait { state -> Monitor<LaneQueue>.Finding<(LaneQueue.Batch?, Bool)> in
            let next = state.next(after: done, now: monotonicNanoseconds)
            done = nil
            switch next {
            case .batch(let batch, let wake): return .found((batch, wake))
            case .idle: return .wait
            case .gather(let until): return .waitUntil(until)
            case .finished: return .found((nil, false))
            }
        }
        if mustWake { queue.signal() }
        return batch
    }
}
