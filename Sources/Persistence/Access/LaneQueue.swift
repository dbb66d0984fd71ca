import Synchronization

/// Something that waits for its transaction.
///
/// The queue knows no more than this of what it holds: written for any type of item, each step of it would ask for types at
/// run time, which took more than writing a row.
class LaneTicket {
    let bytes: Int
    /// The queue's: the how-manieth it is.
    fileprivate var number: UInt64 = 0

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

    /// The number of the item that has waited longest.
    var oldest: UInt64 { tickets.first?.number ?? .max }

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
/// `LaneLimits.splitItems` on, and when a transaction hangs, the next thread takes shards of which no other has any. Who
/// has waited longest goes first, and whoever ends a batch takes what has come meanwhile.
struct LaneQueue {
    /// Enough that a transaction which hangs leaves most sessions to the other threads. The counters of a user are split by
    /// a multiple of it (`SessionSums.shards`), so that two threads never wait for one row of them.
    private static let shardsPerThread = 8
    /// Nanoseconds after which a transaction takes too long to be waited for: several times a slow disk's commit.
    private static let patience: UInt64 = 50_000_000

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
        let receipt: Receipt
        fileprivate let began: UInt64
    }

    /// What is left of a batch when it is done: it keeps no item alive.
    struct Receipt {
        fileprivate let number: UInt64
        fileprivate let shards: [Int]
    }

    private let limits: LaneLimits
    private let linger: UInt64
    private let threads: Int
    private var shards: [LaneShard]
    private var underWay: [Batch] = []
    private var lastBatch: UInt64 = 0
    private var lastTicket: UInt64 = 0
    /// When the first of what waits came; kept where the lane lingers.
    private var oldest: UInt64 = 0
    /// Items that wait, and their bytes.
    private(set) var count = 0
    private var bytes = 0
    private(set) var isClosed = false
    /// The thread that was told to wake one of the lane's, until that one has taken a batch.
    private var waker: ThreadName?

    /// - Parameter threads: How many there are.
    init(_ limits: LaneLimits, threads: Int) {
        self.limits = limits
        self.threads = threads
        shards = Array(repeating: LaneShard(), count: threads > 1 ? threads * Self.shardsPerThread : 1)
        linger = wholeNanoseconds(of: limits.linger)
    }

    /// - Parameter now: Asked only when the queue lingers, or a batch is under way.
    mutating func admit(_ ticket: LaneTicket, shardKey: UInt64, now: () -> UInt64) -> Admission {
        guard !isClosed else { return .closed }
        guard count == 0 || (count < limits.queuedItems && bytes + ticket.bytes <= limits.queuedBytes) else {
            return .overloaded
        }
        let wasFull = linger > 0 && isFull
        let isFirst = count == 0
        append(ticket, to: Int(shardKey % UInt64(shards.count)))
        if isFirst, linger > 0 { oldest = now() }
        guard mayBegin(isFirst: isFirst, becomesFull: linger > 0 && isFull && !wasFull, now: now) else {
            return .admitted(wake: false)
        }
        waker = .current
        return .admitted(wake: true)
    }

    private mutating func append(_ ticket: LaneTicket, to shard: Int) {
        lastTicket += 1
        ticket.number = lastTicket
        shards[shard].append(ticket)
        count += 1
        bytes += ticket.bytes
    }

    /// Whether what has just come is for a thread that waits.
    private func mayBegin(isFirst: Bool, becomesFull: Bool, now: () -> UInt64) -> Bool {
        // Whoever is at work takes it along, unless it is worth another transaction.
        guard underWay.isEmpty else { return isWorthAnother(now: now) }
        // Who comes on another thread does not wait until the first one gets to it.
        return isFirst || becomesFull || (linger == 0 && waker != .current)
    }

    /// Whether another thread is to begin beside those at work: there is much to do, or one of them takes too long.
    private func isWorthAnother(now: () -> UInt64) -> Bool {
        guard underWay.count < threads else { return false }
        let count = freeCount
        return count >= worthATransaction || (count > 0 && underWay.contains { now() > $0.began + Self.patience })
    }

    private var worthATransaction: Int { max(1, limits.splitItems / 2) }

    /// The shards with items of which no thread has any; whose first item has waited longest comes first.
    private var free: [Int] {
        shards.indices.filter { !shards[$0].isUnderWay && !shards[$0].tickets.isEmpty }
            .sorted { shards[$0].oldest < shards[$1].oldest }
    }

    /// How many items they have.
    private var freeCount: Int { shards.reduce(0) { $0 + ($1.isUnderWay ? 0 : $1.tickets.count) } }

    /// - Parameter done: Of the batch that the calling thread has ended.
    mutating func next(after done: Receipt?, now: () -> UInt64) -> Next {
        if let done { end(done) }
        guard freeCount > 0 else { return isClosed ? .finished : .idle }
        if linger > 0, !isClosed, !isFull, now() < oldest + linger { return .gather(until: oldest + linger) }
        guard underWay.isEmpty || isClosed || isWorthAnother(now: now) else { return .idle }
        return take(now: now)
    }

    private mutating func end(_ done: Receipt) {
        underWay.removeAll { $0.receipt.number == done.number }
        for shard in done.shards { shards[shard].isUnderWay = false }
    }

    /// Takes everything, or half of it where the other half is worth another thread.
    private mutating func take(now: () -> UInt64) -> Next {
        var tickets: [LaneTicket] = []
        var (size, taken) = (0, [Int]())
        let all = freeCount
        let isShared = all > limits.splitItems && underWay.count + 1 < threads
        for shard in free {
            let isHalf = 2 * tickets.count >= all && all - tickets.count >= worthATransaction
            if isShared, isHalf { break }
            shards[shard].move(to: &tickets, &size, limits)
            if shards[shard].isUnderWay { taken.append(shard) }
        }
        count -= tickets.count
        bytes -= size
        lastBatch += 1
        let time = now()
        let batch = Batch(tickets: tickets, receipt: Receipt(number: lastBatch, shards: taken), began: time)
        underWay.append(batch)
        waker = nil
        // Those left behind start to wait anew; they are few, and the next batch is full or one linger away.
        if linger > 0, count > 0 { oldest = time }
        return .batch(batch, wake: underWay.count < threads && freeCount >= worthATransaction)
    }

    mutating func close() {
        isClosed = true
    }

    /// Closes it and gives up everything that was not answered, for whoever is to be told.
    mutating func abandon() -> [LaneTicket] {
        isClosed = true
        let given = underWay.flatMap(\.tickets)
        (underWay, count, bytes) = ([], 0, 0)
        return shards.indices.reduce(given) { $0 + shards[$1].removeAll() }
    }

    private var isFull: Bool { count >= limits.batchItems || bytes >= limits.batchBytes }
}
