import Synchronization

/// Something that waits for its transaction.
///
/// The queue knows no more than this of what it holds: written for any type of item, each step of it would ask for types at
/// run time, which took more than writing a row.
class LaneTicket {
    let bytes: Int

    init(bytes: Int) { self.bytes = bytes }
}

/// An item that waits for its transaction, and who is told the result.
///
/// A class: on its way through the queue and the batch a row of twenty strings would be copied five times.
final class LaneEntry<Item: Sendable, Output: Sendable>: LaneTicket {
    let item: Item
    private let completion: @Sendable (Result<Output, any Error>) -> Void
    private let isAnswered = Atomic(false)

    init(item: Item, bytes: Int, completion: @escaping @Sendable (Result<Output, any Error>) -> Void) {
        self.item = item
        self.completion = completion
        super.init(bytes: bytes)
    }

    /// Tells the result, unless one was told before: that nobody waits for it any more.
    func answer(_ result: Result<Output, any Error>) {
        if !isAnswered.exchange(true, ordering: .acquiringAndReleasing) { completion(result) }
    }
}

/// The items of one shard, in the order in which they came.
struct LaneShard {
    private(set) var tickets: [LaneTicket] = []
    private(set) var bytes = 0
    /// A thread has items of this shard in its hands: what came behind them waits for it.
    var isUnderWay = false

    mutating func append(_ ticket: LaneTicket) {
        tickets.append(ticket)
        bytes += ticket.bytes
    }

    /// Moves items to a batch, as many as its limits let; one always goes into an empty batch.
    mutating func move(to batch: inout [LaneTicket], _ size: inout Int, _ limits: LaneLimits) {
        if batch.isEmpty, tickets.count <= limits.batchItems, bytes <= limits.batchBytes {
            swap(&batch, &tickets)
            (size, bytes, isUnderWay) = (bytes, 0, true)
            return
        }
        var count = 0
        for ticket in tickets {
            guard batch.count < limits.batchItems, batch.isEmpty || size + ticket.bytes <= limits.batchBytes else {
                break
            }
            batch.append(ticket)
            bytes -= ticket.bytes
            size += ticket.bytes
            count += 1
        }
        tickets.removeFirst(count)
        isUnderWay = isUnderWay || count > 0
    }

    mutating func removeAll() -> [LaneTicket] {
        defer { (tickets, bytes) = ([], 0) }
        return tickets
    }
}

/// What waits for a lane's threads: which batch is next, when, and whether it takes a second thread. A value without I/O.
///
/// One thread does everything while little waits, because a transaction of twice the size costs much less than two. From
/// `LaneLimits.splitItems` on each thread has shards of its own. Whoever ends a batch takes what has come meanwhile.
struct LaneQueue {
    enum Admission {
        /// In the queue. A thread needs a signal if one may be waiting.
        case admitted(wake: Bool)
        case overloaded
        case closed
    }

    enum Next {
        /// The caller passes it to `next` again when it is done. Another thread is to be woken for what was left.
        case batch(Batch, wake: Bool)
        case idle
        /// Nanoseconds of the monotonic clock.
        case gather(until: UInt64)
        /// Closed, and everything is done.
        case finished
    }

    /// What a thread does in one transaction.
    struct Batch {
        let tickets: [LaneTicket]
        fileprivate let number: UInt64
        fileprivate let shards: [Int]
    }

    private let limits: LaneLimits
    private let linger: UInt64
    private let threads: Int
    private var shards: [LaneShard]
    private var underWay: [Batch] = []
    private var lastNumber: UInt64 = 0
    /// When the first of what waits came; kept where the lane lingers.
    private var oldest: UInt64 = 0
    private(set) var isClosed = false
    /// The thread that was told to wake one of the lane's, until that one has taken a batch.
    private var waker: ThreadName?

    /// - Parameter threads: How many there are, and shards as well.
    init(_ limits: LaneLimits, threads: Int) {
        self.limits = limits
        self.threads = threads
        shards = Array(repeating: LaneShard(), count: threads)
        let (seconds, attoseconds) = limits.linger.components
        linger = UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }

    var count: Int { shards.reduce(0) { $0 + $1.tickets.count } }

    /// - Parameter now: Asked only when the queue lingers.
    mutating func admit(_ ticket: LaneTicket, shardKey: UInt64, now: () -> UInt64) -> Admission {
        guard !isClosed else { return .closed }
        let index = Int(shardKey % UInt64(shards.count))
        let (waiting, bytes) = (shards[index].tickets.count, shards[index].bytes)
        guard waiting == 0 || (waiting < limits.queuedItems && bytes + ticket.bytes <= limits.queuedBytes) else {
            return .overloaded
        }
        let wasFull = linger > 0 && isFull
        let isFirst = count == 0
        shards[index].append(ticket)
        if isFirst, linger > 0 { oldest = now() }
        guard mayBegin(isFirst: isFirst, becomesFull: linger > 0 && isFull && !wasFull) else {
            return .admitted(wake: false)
        }
        waker = .current
        return .admitted(wake: true)
    }

    /// Whether what has just come is for a thread that waits.
    private func mayBegin(isFirst: Bool, becomesFull: Bool) -> Bool {
        guard underWay.isEmpty else {
            // Whoever is at work takes it along, unless it is worth a second transaction.
            return underWay.count < threads && freeCount == worthATransaction
        }
        // Who comes on another thread does not wait until the first one gets to it.
        return isFirst || becomesFull || (linger == 0 && waker != .current)
    }

    private var worthATransaction: Int { max(1, limits.splitItems / 2) }

    /// The shards with items of which no thread has any.
    private var free: [Int] { shards.indices.filter { !shards[$0].isUnderWay && !shards[$0].tickets.isEmpty } }

    /// How many items they have.
    private var freeCount: Int { shards.reduce(0) { $0 + ($1.isUnderWay ? 0 : $1.tickets.count) } }

    /// - Parameter done: The batch that the calling thread has ended.
    mutating func next(after done: Batch?, now: () -> UInt64) -> Next {
        if let done { end(done) }
        let free = free
        guard !free.isEmpty else { return isClosed ? .finished : .idle }
        if linger > 0, !isClosed, !isFull, now() < oldest + linger { return .gather(until: oldest + linger) }
        guard underWay.isEmpty || isClosed || freeCount >= worthATransaction else { return .idle }
        return take(free, now: now)
    }

    private mutating func end(_ batch: Batch) {
        underWay.removeAll { $0.number == batch.number }
        for shard in batch.shards { shards[shard].isUnderWay = false }
    }

    /// Takes the fullest of the shards, and with it those that are not worth a thread.
    private mutating func take(_ free: [Int], now: () -> UInt64) -> Next {
        var tickets: [LaneTicket] = []
        var (size, taken, left) = (0, [Int](), 0)
        let mayLeave = freeCount > limits.splitItems && underWay.count + 1 < threads
        for shard in free.sorted(by: { shards[$0].tickets.count > shards[$1].tickets.count }) {
            if mayLeave, !taken.isEmpty, shards[shard].tickets.count >= worthATransaction {
                left += 1
                continue
            }
            shards[shard].move(to: &tickets, &size, limits)
            if shards[shard].isUnderWay { taken.append(shard) }
        }
        lastNumber += 1
        let batch = Batch(tickets: tickets, number: lastNumber, shards: taken)
        underWay.append(batch)
        waker = nil
        // Those left behind start to wait anew; they are few, and the next batch is full or one linger away.
        if linger > 0, count > 0 { oldest = now() }
        return .batch(batch, wake: left > 0)
    }

    mutating func close() {
        isClosed = true
    }

    /// Closes it and gives up everything that was not answered, for whoever is to be told.
    mutating func abandon() -> [LaneTicket] {
        isClosed = true
        let given = underWay.flatMap(\.tickets)
        underWay = []
        return shards.indices.reduce(given) { $0 + shards[$1].removeAll() }
    }

    private var isFull: Bool {
        count >= limits.batchItems || shards.reduce(0) { $0 + $1.bytes } >= limits.batchBytes
    }
}
