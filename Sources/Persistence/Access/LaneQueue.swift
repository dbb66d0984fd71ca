import NIOCore
import Synchronization

/// An item that waits for its transaction, and who is told the result.
///
/// A class: on its way through the queue and the batch a row of twenty strings would be copied five times.
final class LaneEntry<Item: Sendable, Output: Sendable>: Sendable {
    let item: Item
    let bytes: Int
    private let completion: @Sendable (Result<Output, any Error>) -> Void
    private let isAnswered = Atomic(false)

    init(item: Item, bytes: Int, completion: @escaping @Sendable (Result<Output, any Error>) -> Void) {
        self.item = item
        self.bytes = bytes
        self.completion = completion
    }

    /// Tells the result, unless one was told before: that nobody waits for it any more.
    func answer(_ result: Result<Output, any Error>) {
        if !isAnswered.exchange(true, ordering: .acquiringAndReleasing) { completion(result) }
    }
}

/// The queue of one shard of a lane: which batch is next, and when. A value without I/O.
struct LaneQueue<Item: Sendable, Output: Sendable> {
    typealias Entry = LaneEntry<Item, Output>

    enum Admission {
        /// In the queue. The thread needs a signal if it may be waiting.
        case admitted(wake: Bool)
        case overloaded
        case closed
    }

    enum Next {
        case batch([Entry])
        case idle
        /// Nanoseconds of the monotonic clock.
        case gather(until: UInt64)
        /// Closed, and everything is done.
        case finished
    }

    private let limits: LaneLimits
    private let linger: UInt64
    private var entries = CircularBuffer<Entry>()
    /// The batch that the shard's thread has at the moment.
    private var underWay: [Entry] = []
    private var bytes = 0
    private var oldest: UInt64 = 0
    private(set) var isClosed = false
    /// The thread that was told to wake the lane's, until that one has taken a batch.
    private var waker: ThreadName?

    init(_ limits: LaneLimits) {
        self.limits = limits
        let (seconds, attoseconds) = limits.linger.components
        linger = UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }

    var count: Int { entries.count }

    /// - Parameter now: Asked only when the queue lingers.
    mutating func admit(_ entry: Entry, now: () -> UInt64) -> Admission {
        guard !isClosed else { return .closed }
        guard entries.isEmpty || (entries.count < limits.queuedItems && bytes + entry.bytes <= limits.queuedBytes)
        else {
            return .overloaded
        }
        let wasFull = isFull
        entries.append(entry)
        bytes += entry.bytes
        if entries.count == 1, linger > 0 { oldest = now() }
        // Who comes on another thread does not wait until the first one gets to it.
        let isAwaited = linger > 0 || waker == .current
        guard entries.count == 1 || (isFull && !wasFull) || (waker != nil && !isAwaited) else {
            return .admitted(wake: false)
        }
        waker = .current
        return .admitted(wake: true)
    }

    mutating func next(now: () -> UInt64) -> Next {
        underWay = []
        if entries.isEmpty { return isClosed ? .finished : .idle }
        if linger > 0, !isClosed, !isFull, now() < oldest + linger { return .gather(until: oldest + linger) }
        underWay = take(now: now)
        return .batch(underWay)
    }

    mutating func close() {
        isClosed = true
    }

    /// Closes it and gives up everything that was not answered, for whoever is to be told.
    mutating func abandon() -> [Entry] {
        isClosed = true
        defer { (entries, underWay, bytes) = ([], [], 0) }
        return underWay + entries
    }

    private var isFull: Bool { entries.count >= limits.batchItems || bytes >= limits.batchBytes }

    private mutating func take(now: () -> UInt64) -> [Entry] {
        var batch: [Entry] = []
        var taken = 0
        while let entry = entries.first, batch.count < limits.batchItems {
            guard batch.isEmpty || taken + entry.bytes <= limits.batchBytes else { break }
            batch.append(entries.removeFirst())
            taken += entry.bytes
        }
        bytes -= taken
        waker = nil
        // Those left behind start to wait anew; they are few, and the next batch is full or one linger away.
        if linger > 0, !entries.isEmpty { oldest = now() }
        return batch
    }
}
