import Persistence
import Synchronization

/// Batched transactions by shard key.
enum LaneConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("a lane writes everything, and each caller gets its own answer", answers),
            ConformanceCase("items of one shard keep their order", order),
            ConformanceCase("what waits together is committed together", batching),
            ConformanceCase("one bad item fails alone", badItem),
            ConformanceCase("an item that is refused for an unknown reason fails alone", refusedItem),
            ConformanceCase("a transaction that met another is done again", retry),
            ConformanceCase("a batch whose commit got no answer is done again", unknownCommit),
            ConformanceCase("an unavailable database fails the batch at once", unavailable),
            ConformanceCase("a full queue refuses, and keeps what it took", overload),
            ConformanceCase("a lane that lingers gathers its items", linger),
            ConformanceCase("closing writes what was taken", closing),
            ConformanceCase("what a lane has no time for is told, once", impatience),
            ConformanceCase("a lane that was drained is forgotten by its database", forgotten),
        ]
    }

    private struct Item: LaneItem {
        var value: Int
        var shardKey: UInt64 = 0
        var byteCount: Int { 100 }
    }

    private typealias Lane = TransactionLane<Item, Int>

    private static func createTable(_ database: any Database) async throws {
        try await database.write { connection in
            let type = connection.dialect
            try connection.execute(
                """
                CREATE TABLE items (place \(raw: type.integer) NOT NULL PRIMARY KEY, \
                value \(raw: type.integer) NOT NULL UNIQUE) \(raw: type.bigRows)
                """)
        }
    }

    /// Stores each item behind those that are there; negative values are refused, -2 for a reason that nobody knows.
    @Sendable private static func apply(_ connection: any Connection, _ items: [Item]) throws -> [Int] {
        try items.map { item in
            if item.value < 0 { throw DatabaseError(item.value == -2 ? .refuse : .data, "a negative value") }
            let known: Int? = try connection.first("SELECT place FROM items WHERE value = \(item.value)") {
                try $0.value(0)
            }
            if let known { return known }
            let last: Int? = try connection.first("SELECT MAX(place) FROM items") { try $0.optional(0) } ?? nil
            try connection.execute("INSERT INTO items (place, value) VALUES (\((last ?? 0) + 1), \(item.value))")
            return (last ?? 0) + 1
        }
    }

    private static func values(_ database: any Database) async throws -> [Int] {
        try await database.read { connection in
            try connection.rows("SELECT value FROM items ORDER BY place") { try $0.value(0) }
        }
    }

    private static func quick(_ attempts: Int = 8) -> RetryPolicy {
        RetryPolicy(attempts: attempts, firstPause: .zero) { _ in }
    }

    /// Enqueues items behind a first one that holds the lane until all of them wait.
    private static func enqueueTogether(_ items: [Item], _ lane: Lane, gate: Gate) async throws -> [Result<
        Int, any Error
    >] {
        let results = Mutex<[Int: Result<Int, any Error>]>([:])
        let (stream, done) = AsyncStream<Void>.makeStream()
        try lane.enqueue(Item(value: 1_000_000)) { _ in done.yield() }
        await gate.entered()
        for (index, item) in items.enumerated() {
            try lane.enqueue(item) { result in
                results.withLock { $0[index] = result }
                done.yield()
            }
        }
        gate.open()
        var rest = items.count + 1
        for await _ in stream {
            rest -= 1
            if rest == 0 { break }
        }
        return results.withLock { results in items.indices.compactMap { results[$0] } }
    }

    @Sendable private static func answers(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createTable(database)
            let lane = Lane("test", on: database, apply: apply)
            let places = try await withThrowingTaskGroup(of: (Int, Int).self) { group in
                for value in 0..<500 { group.addTask { (value, try await lane.write(Item(value: value))) } }
                return try await group.reduce(into: [Int: Int]()) { $0[$1.1] = $1.0 }
            }
            try expectEqual(places.count, 500, "different places")
            try expectEqual(try await values(database), places.sorted { $0.key < $1.key }.map(\.value), "the rows")
        }
    }

    @Sendable private static func order(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createTable(database)
            let lane = Lane("test", on: database, apply: apply)
            for value in 0..<1_000 { try lane.enqueue(Item(value: value)) { _ in } }
            await lane.drain()
            try expectEqual(try await values(database), Array(0..<1_000), "the order")
        }
    }

    @Sendable private static func batching(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createTable(database)
            let sizes = Mutex<[Int]>([])
            let gate = Gate()
            var limits = LaneLimits()
            limits.batchItems = 64
            limits.batchBytes = 3_200
            let lane = Lane("test", on: database, limits: limits) { connection, items in
                gate.pass()
                sizes.withLock { $0.append(items.count) }
                return try apply(connection, items)
            }
            _ = try await enqueueTogether((0..<70).map { Item(value: $0) }, lane, gate: gate)
            try expectEqual(sizes.withLock { $0 }, [1, 32, 32, 6], "the batches")
        }
    }

    @Sendable private static func badItem(_ fixture: any DatabaseFixture) async throws {
        try await badItem(-1, fixture)
    }

    @Sendable private static func refusedItem(_ fixture: any DatabaseFixture) async throws {
        try await badItem(-2, fixture)
    }

    private static func badItem(_ bad: Int, _ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createTable(database)
            let gate = Gate()
            let lane = Lane("test", on: database) { connection, items in
                gate.pass()
                return try apply(connection, items)
            }
            let items = (0..<20).map { Item(value: $0 == 7 ? bad : $0) }
            let results = try await enqueueTogether(items, lane, gate: gate)
            let failed = results.indices.filter { index in
                if case .failure = results[index] { return true }
                return false
            }
            try expectEqual(failed, [7], "the items that failed")
            try expectEqual(try await values(database).count, 20, "the rows of the others and the first")
        }
    }

    @Sendable private static func retry(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createTable(database)
            let faulty = FaultyDatabase(database)
            let lane = TransactionLane("test", on: faulty, limits: LaneLimits(), retry: quick(), apply: apply)
            for step in 0..<20 {
                faulty.fail(atStep: step, with: .retryTransaction)
                _ = try await lane.write(Item(value: step))
            }
            try expectEqual(try await values(database), Array(0..<20), "the rows")
            await lane.drain()
        }
    }

    @Sendable private static func unknownCommit(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createTable(database)
            let faulty = FaultyDatabase(database)
            let lane = TransactionLane("test", on: faulty, limits: LaneLimits(), retry: quick(), apply: apply)
            faulty.failNextCommit(.happened)
            try expectEqual(try await lane.write(Item(value: 5)), 1, "the place")
            faulty.failNextCommit(.lost)
            try expectEqual(try await lane.write(Item(value: 6)), 2, "the place")
            try expectEqual(try await values(database), [5, 6], "the rows")
            await lane.drain()
        }
    }

    @Sendable private static func unavailable(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createTable(database)
            let faulty = FaultyDatabase(database)
            let lane = TransactionLane("test", on: faulty, limits: LaneLimits(), retry: quick(), apply: apply)
            faulty.fail(atStep: 0, with: .unavailable)
            try await expectFailure([.unavailable], "a write") { try await lane.write(Item(value: 1)) }
            try expectEqual(try await lane.write(Item(value: 2)), 1, "the lane goes on")
            await lane.drain()
        }
    }

    @Sendable private static func overload(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createTable(database)
            let gate = Gate()
            var limits = LaneLimits()
            limits.queuedItems = 8
            let lane = Lane("test", on: database, limits: limits) { connection, items in
                gate.pass()
                return try apply(connection, items)
            }
            try lane.enqueue(Item(value: 0)) { _ in }
            await gate.entered()
            for value in 1...8 { try lane.enqueue(Item(value: value)) { _ in } }
            try expectEqual(lane.pending, 8, "items that wait")
            try await expectFailure([.overloaded], "one more") { try lane.enqueue(Item(value: 9)) { _ in } }
            gate.open()
            await lane.drain()
            try expectEqual(try await values(database), Array(0...8), "the rows")
        }
    }

    @Sendable private static func linger(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createTable(database)
            let sizes = Mutex<[Int]>([])
            var limits = LaneLimits()
            limits.linger = .seconds(3_600)
            limits.batchItems = 10
            let lane = Lane("test", on: database, limits: limits) { connection, items in
                sizes.withLock { $0.append(items.count) }
                return try apply(connection, items)
            }
            // A full batch goes at once; the rest of an hour is not waited for when the lane is drained.
            let (answers, continuation) = AsyncStream.makeStream(of: Void.self)
            for value in 0..<10 { try lane.enqueue(Item(value: value)) { _ in continuation.yield() } }
            for await _ in answers.prefix(10) {}
            try expectEqual(sizes.withLock { $0 }, [10], "the full batch")
            for value in 10..<13 { try lane.enqueue(Item(value: value)) { _ in } }
            await lane.drain()
            try expectEqual(sizes.withLock { $0 }, [10, 3], "the batches")
        }
    }

    @Sendable private static func closing(_ fixture: any DatabaseFixture) async throws {
        let database = try await fixture.open()
        try await createTable(database)
        let lane = Lane("test", on: database, apply: apply)
        for value in 0..<100 { try lane.enqueue(Item(value: value)) { _ in } }
        await database.close()
        try await expectFailure([.unavailable], "a closed lane") { try await lane.write(Item(value: 101)) }
        try await fixture.with { try expectEqual(try await values($0).count, 100, "the rows") }
    }

    @Sendable private static func impatience(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await createTable(database)
            let gate = Gate()
            let lane = Lane("test", on: database) { connection, items in
                gate.pass()
                return try apply(connection, items)
            }
            let told = Mutex<[Int]>([])
            for value in 0..<3 {
                try lane.enqueue(Item(value: value)) { result in
                    told.withLock { if case .failure = result { $0.append(value) } else { $0.append(-1) } }
                }
                await gate.entered()
            }
            await lane.drain(within: .milliseconds(50))
            try expectEqual(told.withLock { $0 }, [0, 1, 2], "who is told that nothing was written")
            gate.open()
            await lane.drain()
            // The thread had the first one in its hands; nobody is told twice.
            try expectEqual(try await values(database), [0], "the rows")
            try expectEqual(told.withLock { $0 }, [0, 1, 2], "who is told")
        }
    }

    @Sendable private static func forgotten(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            let before = database.threads.laneCount
            for _ in 0..<3 { await Lane("test", on: database, apply: apply).drain() }
            try expectEqual(database.threads.laneCount, before, "lanes that the database waits for")
        }
    }
}
