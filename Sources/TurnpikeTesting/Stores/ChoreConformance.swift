import Conversations
import Persistence
import Synchronization

/// Background work: by one process at a time, and only on what is old.
enum ChoreConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("of two processes one does a round", oneProcess),
            ConformanceCase("a chore goes on with another process when the first ends", takeOver),
            ConformanceCase("a chore whose step fails is tried again", failing),
            ConformanceCase("a chore goes by the earlier of two clocks", clocks),
        ]
    }

    static var conversations: [ConformanceCase] {
        [
            ConformanceCase("a deleted session is removed when its time has come, in pieces", removal),
            ConformanceCase("a round of removals is over with the last of them", endOfRound),
            ConformanceCase("an expired session is deleted, one in use is not", expiry),
        ]
    }

    /// Runs a chore until it has come to rest `rounds` times.
    static func run(_ chore: Chore, rounds: Int, on database: any Database) async {
        let rests = Mutex(0)
        await chore.run(on: database, logger: MigrationConformance.logger) { duration in
            guard duration != chore.pause else { return await Task.yield() }
            let count = rests.withLock { rests in
                rests += 1
                return rests
            }
            if count == rounds { throw CancellationError() }
        }
    }

    private static func counting(_ steps: Counter, _ body: @escaping Chore.Step = { _, _ in .done }) -> Chore {
        Chore(lease: 7, name: "counting", interval: .seconds(3_600)) { database, now in
            steps.add()
            return try await body(database, now)
        }
    }

    @Sendable private static func oneProcess(_ fixture: any DatabaseFixture) async throws {
        let databases = [try await fixture.open(), try await fixture.open()]
        try await prepare(databases[0])
        let steps = Counter()
        let lease = DatabaseLease(7, on: databases[0])
        try expect(try await lease.hold(for: .seconds(60)) != nil, "a lease that nobody has is free")
        await run(counting(steps), rounds: 3, on: databases[1])
        try expectEqual(steps.value, 0, "steps of a process without the lease")
        try await lease.release()
        await run(counting(steps), rounds: 3, on: databases[1])
        try expectEqual(steps.value, 3, "steps of the process with the lease")
        for database in databases { await database.close() }
    }

    @Sendable private static func takeOver(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await prepare(database)
            for _ in 0..<2 {
                let steps = Counter()
                await run(counting(steps) { _, _ in steps.value < 3 ? .more : .done }, rounds: 1, on: database)
                try expectEqual(steps.value, 3, "steps of a round")
            }
        }
    }

    @Sendable private static func failing(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await prepare(database)
            let steps = Counter()
            let chore = counting(steps) { _, _ in
                if steps.value < 3 { throw DatabaseError(.unavailable, "an injected fault") }
                return .done
            }
            await run(chore, rounds: 3, on: database)
            try expectEqual(steps.value, 3, "attempts")
        }
    }

    /// The clock of this machine is an hour behind the database's, or ahead of it: the step is told of no later time than
    /// either.
    @Sendable private static func clocks(_ fixture: any DatabaseFixture) async throws {
        try await fixture.with { database in
            try await prepare(database)
            for hours in [-1, 1] {
                let clock: @Sendable () -> Timestamp = { Timestamp.now().advanced(by: .seconds(hours * 3_600)) }
                let told = Mutex<Timestamp?>(nil)
                let chore = counting(Counter()) { _, now in
                    told.withLock { $0 = now }
                    return .done
                }
                await chore.run(on: database, clock: clock, logger: MigrationConformance.logger) { _ in
                    throw CancellationError()
                }
                let time = told.withLock { $0 } ?? Timestamp(microseconds: .max)
                try expect(time <= clock() && time <= .now(), "\(time) is the earlier time, \(hours) hours away")
            }
        }
    }

    private static func prepare(_ database: any Database) async throws {
        try await SchemaTables.create(on: database)
    }

    // MARK: Sessions

    @Sendable private static func removal(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            let kept = try await samples.store.create(SessionDraft(owner: owner))
            let long = try await samples.store.create(SessionDraft(owner: owner))
            let texts = (0..<1_201).map { "m\($0)" }
            try await samples.append(ConversationSamples.turn(long, texts))
            try await samples.append(ConversationSamples.turn(kept, ["a", "b"]))
            _ = try await samples.store.delete(long.key)
            var limits = SessionPurge.Limits()
            await run(SessionPurge.chore(limits, every: .seconds(600)), rounds: 1, on: samples.database)
            try expectEqual(try await rows(samples.database), [1_203, 2, 2], "before the time has come")
            limits.purgeAfter = .zero
            await run(SessionPurge.chore(limits, every: .seconds(600)), rounds: 1, on: samples.database)
            try expectEqual(try await rows(samples.database), [2, 1, 1], "messages, turns and sessions")
            try expectEqual(try await samples.texts(kept.key), ["a", "b"], "what is not deleted")
        }
    }

    /// Else the next round would begin at once, and look at every session again.
    @Sendable private static func endOfRound(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            _ = try await samples.store.create(SessionDraft(owner: owner))
            for _ in 0..<3 {
                let dead = try await samples.store.create(SessionDraft(owner: owner))
                _ = try await samples.store.delete(dead.key)
            }
            var limits = SessionPurge.Limits()
            limits.purgeAfter = .zero
            let chore = SessionPurge.chore(limits, every: .seconds(600))
            let vain = Counter()
            await chore.run(on: samples.database, logger: MigrationConformance.logger) { duration in
                guard duration == chore.pause else { throw CancellationError() }
                if try await rows(samples.database)[2] == 1 { vain.add() }
            }
            try expectEqual(try await rows(samples.database)[2], 1, "sessions")
            try expectEqual(vain.value, 0, "steps to come although nothing is left to remove")
        }
    }

    @Sendable private static func expiry(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            let old = try await samples.store.create(SessionDraft(owner: owner))
            let used = try await samples.store.create(SessionDraft(owner: owner))
            let hour: Int64 = 3_600_000_000
            try await samples.database.write { connection in
                _ = try connection.execute("UPDATE sessions SET last_message_at = last_message_at - \(2 * hour)")
            }
            try await samples.append(ConversationSamples.turn(used, ["a", "b"]))
            var limits = SessionPurge.Limits()
            limits.timeToLive = .seconds(3_600)
            await run(SessionPurge.chore(limits, every: .seconds(600)), rounds: 1, on: samples.database)
            let found = try await samples.store.session(SessionReference(old.key.session), of: owner)
            try expect(found == nil, "the expired session is gone")
            try expectEqual(try await samples.texts(used.key), ["a", "b"], "the session in use")
            let active = try await samples.database.read { connection in
                try connection.first("SELECT active FROM session_totals WHERE user_id = \(owner)") { try $0.integer(0) }
            }
            try expectEqual(active, 1, "the total")
        }
    }

    private static func rows(_ database: any Database) async throws -> [Int64] {
        try await database.read { connection in
            try ["messages", "turns", "sessions"].map { table in
                try connection.first("SELECT COUNT(*) FROM \(raw: table)") { try $0.integer(0) } ?? -1
            }
        }
    }
}

/// How often something has happened.
private final class Counter: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }
    func add() { count.withLock { $0 += 1 } }
}
