import Testing

@testable import Persistence

/// Which batch is next, and for how many threads there is work.
@Suite("The queue of a lane") struct LaneQueueTests {
    private struct Item: LaneItem {
        var shardKey: UInt64
        var byteCount: Int { 1 }
    }

    private typealias Queue = LaneQueue<Item, Void>

    private static func queue(threads: Int = 2) -> Queue {
        var limits = LaneLimits()
        limits.splitItems = 4
        return Queue(limits, threads: threads)
    }

    /// Admits an item of each of the shards; whether a thread is to be woken for one of them.
    private static func admit(_ shards: [UInt64], to queue: inout Queue) -> Bool {
        var mustWake = false
        for shard in shards {
            let entry = LaneEntry<Item, Void>(item: Item(shardKey: shard), bytes: 1) { _ in }
            if case .admitted(wake: true) = queue.admit(entry, shardKey: shard, now: { 0 }) { mustWake = true }
        }
        return mustWake
    }

    private static func take(_ queue: inout Queue, after done: Queue.Batch? = nil) -> (batch: Queue.Batch, wake: Bool)?
    {
        guard case .batch(let batch, let wake) = queue.next(after: done, now: { 0 }) else { return nil }
        return (batch, wake)
    }

    private static func shards(_ batch: Queue.Batch?) -> [UInt64] { batch?.entries.map(\.item.shardKey) ?? [] }

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
            guard case .finished = queue.next(after: batch, now: { 0 }) else { return #expect(Bool(false)) }
        }
    }

    @Test func whatIsGivenUpIsToldOnce() throws {
        var queue = Self.queue()
        _ = Self.admit([0, 1], to: &queue)
        let first = try #require(Self.take(&queue)).batch
        _ = Self.admit([0, 1, 1], to: &queue)
        #expect(queue.abandon().count == 5)
        guard case .finished = queue.next(after: first, now: { 0 }) else { return #expect(Bool(false)) }
    }
}
