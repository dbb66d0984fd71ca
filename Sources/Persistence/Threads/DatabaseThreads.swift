import Synchronization

/// The threads of one database and the lanes that write to it: what `close()` has to end, in order.
public final class DatabaseThreads: Sendable {
    private struct Lanes {
        var drains: [@Sendable () async -> Void] = []
        var isClosed = false
    }

    package let readers: WorkerThreads
    package let writers: WorkerThreads
    /// How many threads a lane has, each with its own share of the shard keys: as many as connections can write at once.
    package let shards: Int
    private let lanes = Mutex(Lanes())

    package init(_ name: String, readers: Int, writers: Int, shards: Int) {
        self.readers = WorkerThreads("\(name)-read", count: readers)
        self.writers = WorkerThreads("\(name)-write", count: writers)
        self.shards = shards
    }

    /// Remembers how a lane is drained. False when the database is already closed.
    func register(drain: @escaping @Sendable () async -> Void) -> Bool {
        lanes.withLock { lanes in
            guard !lanes.isClosed else { return false }
            lanes.drains.append(drain)
            return true
        }
    }

    /// Drains the lanes, then ends the threads. Back ends call it before they close their connections.
    package func close() async {
        let drains = lanes.withLock { lanes in
            lanes.isClosed = true
            return lanes.drains
        }
        for drain in drains { await drain() }
        await writers.close()
        await readers.close()
    }
}
