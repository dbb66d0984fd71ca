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

    package init(_ name: String, readers: Int, writers: Int, shards: Int) {
        self.readers = WorkerThreads("\(name)-read", count: readers)
        self.writers = WorkerThreads("\(name)-write", count: writers)
        self.shards = shards
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
