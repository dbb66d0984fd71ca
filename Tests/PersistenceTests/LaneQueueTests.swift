import Testing

@testable import Persistence

/// Which batch is next, and for how many threads there is work.
@Suite("The queue of a lane") struct LaneQueueTests {
    private final class Item: LaneTicket {
        let shard: UInt64

        init(_ shard: UInt64) {
            self.shard = shard
            super.init(bytes: 1)
        }
    }

    private static func queue(threads: Int = 2) -> LaneQueue {
        var limits = LaneLimits()
        limits.splitItems = 4
        return LaneQueue(limits, threads: threads)
    }

    /// Admits an item of each of the shards; whether a thread is to be woken for one of them.
    private static func admit(_ shards: [UInt64], to queue: inout LaneQueue, at time: UInt64 = 0) -> Bool {
        var mustWake = false
        for shard in shards {
            if case .admitted(wake: true) = queue.admit(Item(shard), shardKey: shard, now: { time }) { mustWake = true }
        }
        return mustWake
    }

    private static func take(_ queue: inout LaneQueue, after done: LaneQueue.Batch? = nil, at time: UInt64 = 0) -> (
        batch: LaneQueue.Batch, wake: Bool
    )? {
        guard case .batch(let batch, let wake) = queue.next(after: done?.receipt, now: { time }) else { return nil }
        return (batch, wake)
    }

    private static func shards(_ batch: LaneQueue.Batch?) -> [UInt64] {
        batch?.tickets.compactMap { ($0 as? Item)?.shard } ?? []
    }

    @Test func whatLingersIsTakenWhenItsTimeIsOverOrABatchIsFull() throws {
        var limits = LaneLimits()
        limits.linger = .nanoseconds(100)
        limits.batchItems = 2
        var queue = LaneQueue(limits, threads: 1)
        #expect(Self.admit([0], to: &queue, at: 7))
        guard case .gather(until: 107) = queue.next(after: nil, now: { 106 }) else {
            Issue.record("a batch was taken before its time, or nothing waits")
            return
        }
        let first = try #require(Self.take(&queue, at: 107)).batch
        #expect(!Self.admit([0, 0], to: &queue, at: 108))
        #expect(Self.shards(Self.take(&queue, after: first, at: 109)?.batch) == [0, 0])
    }

    @Test func fewItemsAreOneBatchWhateverTheirShards() throws {
        var queue = Self.queue()
        #expect(Self.admit([0, 1, 0], to: &queue))
        let (batch, wake) = try #require(Self.take(&queue))
        #expect(Self.shards(batch) == [0, 0, 1] && !wake)
    }

    @Test func whatComesMeanwhileIsTakenByWhoeverIsDone() throws {
        var queue = Self.queue()
        _ = Self.admit([0], to: &queue)
        let first = try #require(Self.take(&queue)).batch
        // Not worth a second transaction.
        #expect(!Self.admit([1], to: &queue))
        #expect(Self.take(&queue) == nil)
        #expect(Self.shards(Self.take(&queue, after: first)?.batch) == [1])
    }

    @Test func asMuchAsIsWorthATransactionWakesAnotherThread() throws {
        var queue = Self.queue()
        _ = Self.admit([0], to: &queue)
        _ = try #require(Self.take(&queue))
        #expect(!Self.admit([1], to: &queue))
        #expect(Self.admit([1], to: &queue))
        #expect(Self.shards(Self.take(&queue)?.batch) == [1, 1])
    }

    @Test func itemsOfAShardNeverPassEachOther() throws {
        var queue = Self.queue()
        _ = Self.admit([0], to: &queue)
        let first = try #require(Self.take(&queue)).batch
        #expect(!Self.admit([0, 0, 0, 0, 0, 0], to: &queue))
        #expect(Self.take(&queue) == nil)
        #expect(Self.shards(Self.take(&queue, after: first)?.batch) == [0, 0, 0, 0, 0, 0])
    }

    @Test func manyItemsAreSharedByTheThreads() throws {
        var queue = Self.queue()
        _ = Self.admit([0, 0, 0, 1, 1], to: &queue)
        let (first, wake) = try #require(Self.take(&queue))
        #expect(Self.shards(first) == [0, 0, 0] && wake)
        #expect(Self.shards(Self.take(&queue)?.batch) == [1, 1])
    }

    @Test func aShardThatIsNotWorthAThreadGoesAlong() throws {
        var queue = Self.queue()
        _ = Self.admit([0, 0, 0, 0, 1], to: &queue)
        let (first, wake) = try #require(Self.take(&queue))
        #expect(Self.shards(first) == [0, 0, 0, 0, 1] && !wake)
    }

    @Test func aTransactionThatHangsHoldsUpOnlyTheShardsThatItHas() throws {
        var queue = Self.queue()
        let second: UInt64 = 1_000_000_000
        _ = Self.admit([0, 1], to: &queue)
        _ = try #require(Self.take(&queue))
        #expect(!Self.admit([2], to: &queue, at: 10_000_000))
        // Only what is behind the one that hangs waits for it.
        #expect(Self.admit([1, 3], to: &queue, at: second))
        let other = try #require(Self.take(&queue, at: second)).batch
        #expect(Self.shards(other) == [2, 3])
        #expect(Self.take(&queue, after: other, at: second) == nil)
    }

    @Test func whoWasPassedOverIsNext() throws {
        var limits = LaneLimits()
        limits.batchItems = 2
        var queue = LaneQueue(limits, threads: 2)
        _ = Self.admit([5, 5, 5, 3, 5], to: &queue)
        let first = try #require(Self.take(&queue)).batch
        #expect(Self.shards(first) == [5, 5])
        let next = try #require(Self.take(&queue, after: first)).batch
        #expect(Self.shards(next) == [5, 5])
        #expect(Self.shards(Self.take(&queue, after: next)?.batch) == [3])
    }

    @Test func whatIsDoneIsKeptByNobody() throws {
        var queue = Self.queue()
        weak var item: Item?
        let receipt: LaneQueue.Receipt
        do {
            let made = Item(0)
            item = made
            _ = queue.admit(made, shardKey: 0, now: { 0 })
            receipt = try #require(Self.take(&queue)).batch.receipt
        }
        #expect(item != nil)
        guard case .idle = queue.next(after: receipt, now: { 0 }) else { return #expect(Bool(false)) }
        #expect(item == nil)
    }

    @Test func closingLeavesNothingBehind() throws {
        var queue = Self.queue()
        _ = Self.admit([0], to: &queue)
        let first = try #require(Self.take(&queue)).batch
        _ = Self.admit([0, 1], to: &queue)
        queue.close()
        let second = try #require(Self.take(&queue)).batch
        #expect(Self.shards(second) == [1])
        let third = try #require(Self.take(&queue, after: first)).batch
        #expect(Self.shards(third) == [0])
        for batch in [second, third] {
            guard case .finished = queue.next(after: batch.receipt, now: { 0 }) else { return #expect(Bool(false)) }
        }
    }

    @Test func aBatchHasItsLimits() throws {
        var limits = LaneLimits()
        (limits.batchItems, limits.batchBytes) = (3, 2)
        var queue = LaneQueue(limits, threads: 1)
        _ = Self.admit([1, 2, 3, 4, 5], to: &queue)
        let first = try #require(Self.take(&queue)).batch
        #expect(Self.shards(first) == [1, 2])
        let second = try #require(Self.take(&queue, after: first)).batch
        #expect(Self.shards(second) == [3, 4])
        #expect(Self.shards(Self.take(&queue, after: second)?.batch) == [5])
    }

    @Test func whatIsGivenUpIsToldOnce() throws {
        var queue = Self.queue()
        _ = Self.admit([0, 1], to: &queue)
        let first = try #require(Self.take(&queue)).batch
        _ = Self.admit([0, 1, 1], to: &queue)
        #expect(queue.abandon().count == 5)
        guard case .finished = queue.next(after: first.receipt, now: { 0 }) else { return #expect(Bool(false)) }
    }
}
