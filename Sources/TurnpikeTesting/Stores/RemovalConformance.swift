import Conversations
import NIOCore
import Persistence

/// Removing for good: in pieces, and whatever comes in between.
enum RemovalConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("a session is purged in transactions that are short however long it is", pieces),
            ConformanceCase("a purge that breaks off leaves nothing to be found, and is finished", breakingOff),
            ConformanceCase("an erasure that breaks off leaves nothing to be found, and is finished", erasing),
            ConformanceCase("what a purge has left is removed in the background", background),
            ConformanceCase("many small sessions are erased in few transactions, and their sums come last", small),
        ]
    }

    private static func long(_ samples: ConversationSamples, _ owner: UniqueID) async throws -> Session {
        let session = try await samples.store.create(SessionDraft(owner: owner, externalID: "long"))
        try await samples.append(ConversationSamples.turn(session, (0..<601).map { "m\($0)" }))
        _ = try await samples.store.set(
            Feedback(seq: 1, thumb: .up, scoreHundredths: nil, comment: nil, at: .now()), on: session.key)
        return session
    }

    @Sendable private static func pieces(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let session = try await long(samples, .generate())
            let watched = WatchedDatabase(samples.database)
            let outcome = try await ConversationStore(database: watched).purge(session.key)
            try expectEqual(outcome, .deleted, "the purge")
            try expect(watched.mostRows <= 600, "a transaction changed \(watched.mostRows) rows")
            try await expectNoRows(samples)
        }
    }

    /// Breaks off at every step in turn, and calls again.
    private static func breakOffEverywhere(
        _ fixture: any DatabaseFixture, _ call: @escaping @Sendable (ConversationStore, SessionKey) async throws -> Void
    ) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let faulty = FaultyDatabase(samples.database)
            let store = ConversationStore(database: faulty, durability: nil, cacheLimit: 1 << 20)
            var step = 0
            var isOver = false
            while !isOver {
                let session = try await long(samples, .generate())
                _ = try await MemoryConformance.visit(store, "long", of: session.key.owner)
                faulty.fail(atStep: step, with: .unavailable)
                let didFail = await { () -> Bool in
                    do {
                        try await call(store, session.key)
                        return false
                    } catch { return true }
                }()
                isOver = faulty.withdraw()
                try await expectAllOrNothing(samples, session, "a fault at step \(step)")
                try await expectNotRemembered(store, faulty, samples, session, "a fault at step \(step)")
                if didFail { try await call(samples.store, session.key) }
                try await expectNoRows(samples)
                // Every step would take long, and they repeat.
                step += step < 16 ? 1 : 5
            }
            try expect(step > 20, "it has steps")
        }
    }

    @Sendable private static func breakingOff(_ fixture: any DatabaseFixture) async throws {
        try await breakOffEverywhere(fixture) { _ = try await $0.purge($1) }
    }

    @Sendable private static func erasing(_ fixture: any DatabaseFixture) async throws {
        try await breakOffEverywhere(fixture) { _ = try await $0.erase($1.owner) }
    }

    /// The session is there as it was, or nothing finds it any more.
    private static func expectAllOrNothing(
        _ samples: ConversationSamples, _ session: Session, _ when: String
    ) async throws {
        let key = session.key
        let found = try await samples.store.session(SessionReference("long"), of: key.owner)
        if let found {
            try expectEqual(found.counters.messages, 601, when)
            try expectEqual(try await samples.texts(key).count, 601, "\(when): its messages")
            return
        }
        var query = SessionQuery(limit: 9)
        for isDeleted in [false, true] {
            query.filter.isDeleted = isDeleted
            let list = try await samples.store.read { [query] in try $0.sessions(of: key.owner, query) }
            try expectEqual([list.total, list.elements.count], [0, 0], "\(when): the list")
        }
        try expect(try await samples.store.restore(key) == nil, "\(when): it cannot be brought back")
        try expectEqual(try await samples.store.read { try $0.storedMessages(of: key.owner) }, 0, "\(when): messages")
    }

    /// What is gone is not answered from memory either while the database does not answer.
    private static func expectNotRemembered(
        _ store: ConversationStore, _ faulty: FaultyDatabase, _ samples: ConversationSamples, _ session: Session,
        _ when: String
    ) async throws {
        let (name, owner) = (SessionReference("long"), session.key.owner)
        guard try await samples.store.session(name, of: owner) == nil else { return }
        faulty.fail(atStep: 0, with: .unavailable)
        let remembered = try? await store.sessionOfExchange(name, of: owner)
        _ = faulty.withdraw()
        try expect(remembered == nil, "\(when): it is in memory")
    }

    @Sendable private static func small(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            for index in 0..<64 {
                let session = try await samples.store.create(SessionDraft(owner: owner, externalID: "s\(index)"))
                try await samples.append(ConversationSamples.turn(session, ["a", "b"]))
            }
            let watched = WatchedDatabase(samples.database)
            let store = ConversationStore(database: watched)
            try await samples.database.write { connection in
                _ = try connection.execute("UPDATE sessions SET expires_us = created_us % 32 WHERE external_id < 's4'")
            }
            try await store.expire(owner)
            try expectEqual(try await store.erase(owner).sessions, 64, "sessions")
            try expect(watched.transactions < 12, "it took \(watched.transactions) transactions")
            try expect(watched.mostRows < 1_000, "a transaction changed \(watched.mostRows) rows")
            try expect(!watched.isOutOfOrder, "a transaction wrote to a session behind the sums")
            try await expectNoRows(samples)
        }
    }

    @Sendable private static func background(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let session = try await long(samples, .generate())
            let faulty = FaultyDatabase(samples.database)
            faulty.fail(atStep: 12, with: .unavailable)
            _ = try? await ConversationStore(database: faulty).purge(session.key)
            try expect(!faulty.withdraw(), "it broke off")
            try await expectAllOrNothing(samples, session, "half a purge")
            var limits = SessionPurge.Limits()
            // Longer than since 1970, which is when such a session was deleted.
            limits.purgeAfter = .seconds(100 * 366 * 86_400)
            let chore = SessionPurge.chore(limits, every: .seconds(600))
            await ChoreConformance.run(chore, rounds: 1, on: samples.database)
            try await expectNoRows(samples)
        }
    }

    private static func expectNoRows(_ samples: ConversationSamples) async throws {
        for table in SessionRemoval.tables {
            let rows = try await samples.database.read { connection in
                try connection.first("SELECT COUNT(*) FROM \(raw: table)") { try $0.integer(0) }
            }
            try expectEqual(rows, 0, "rows of \(table)")
        }
    }
}
