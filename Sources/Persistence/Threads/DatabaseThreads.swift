import Synchronization

/// The threads of one database and the lanes that write to it: what `close()` has to end, in order.
public final class DatabaseThreads: Sendable {
    private struct Lanes {
        var drains: [UInt64: @Sendable () async -> Void] = [:]
        var last: UInt64 = 0
        var isClosed = false
    }

    /// Names a lane until it is drained.
    typealias Registration = UInt64

    package let readers: WorkerThreads
    package let writers: WorkerThreads
    /// How many threads a lane has at most: as many as connections can write at once.
    package let shards: Int
    private let lanes = Mutex(Lanes())
    private let patience: Duration
    /// When it answered last: nanoseconds of the monotonic clock; 0: never.
    let lastAnswer = Atomic<UInt64>(0)
    package var answeredAt: UInt64 { lastAnswer.load(ordering: .relaxed) }

    /// - Parameter patience: How long callers that wait ``Waiting/promptly`` do so while nobody is answered.
    package init(_ name: String, readers: Int, writers: Int, shards: Int, patience: Duration = .seconds(10)) {
        self.patience = patience
        self.readers = WorkerThreads("\(name)-read", count: readers)
        self.writers = WorkerThreads("\(name)-write", count: writers)
        self.shards = shards
    }

    /// The database has answered somebody.
    package func noteAnswer() { lastAnswer.store(monotonicNanoseconds(), ordering: .relaxed) }

    /// Waits for `work` at the end of the process, no longer than `limit`; while the database answers nobody, not even that:
    /// what would be lost is in a spool by then, and a lease expires by itself. The work goes on.
    ///
    /// - Returns: Whether it has ended in time.
    @discardableResult
    package func waitAtEnd(_ limit: Duration, for work: @escaping @Sendable () async -> Void) async -> Bool {
        await Patience.wait(hasAnsweredLately ? limit : min(limit, .milliseconds(500)), for: work)
    }

    /// A process looks each second whether its database is there.
    private var hasAnsweredLately: Bool {
        let last = lastAnswer.load(ordering: .relaxed)
        return last != 0 && monotonicNanoseconds() < last + 3_000_000_000
    }

    /// Ends the waiting of a caller, unless it is patient, with what `end` is told. It may do so too late: where the answer
    /// has come, `end` does nothing.
    ///
    /// - Returns: Is cancelled when the answer has come.
    func limit(_ waiting: Waiting, _ end: @escaping @Sendable (DatabaseError) -> Void) -> Task<Void, Never>? {
        guard waiting == .promptly else { return nil }
        return Task { [self] in
            var began = monotonicNanoseconds()
            for _ in 0..<Waiting.longest {
                // Cancelled: the answer is there.
                guard (try? await Task.sleep(for: patience)) != nil else { return }
                guard lastAnswer.load(ordering: .relaxed) > began else {
                    return end(DatabaseError(.unavailable, "the database did not answer in time"))
                }
                began = monotonicNanoseconds()
            }
            end(DatabaseError(.overloaded, "it took too long"))
        }
    }

    /// Remembers how a lane is drained. Nil when the database is already closed.
    func register(drain: @escaping @Sendable () async -> Void) -> Registration? {
        lanes.withLock { lanes in
            guard !lanes.isClosed else { return nil }
            lanes.last += 1
            lanes.drains[lanes.last] = drain
            return lanes.last
        }
    }

    /// Forgets a lane that has ended before its database: each reload of a configuration leaves some.
    func unregister(_ lane: Registration) {
        lanes.withLock { $0.drains[lane] = nil }
    }

    /// How many lanes have not ended.
    package var laneCount: Int { lanes.withLock { $0.drains.count } }

    /// Drains the lanes, then ends the threads. Back ends call it before they close their connections.
    package func close() async {
        let drains = lanes.withLock { lanes in
            lanes.isClosed = true
            return lanes.drains.values
        }
        for drain in drains { await drain() }
        await writers.close()
        await readers.close()
    }

    /// Ends the threads of a database that could not be opened, without waiting: nothing was given to them.
    package func abandon() {
        writers.abandon()
        readers.abandon()
    }
}
