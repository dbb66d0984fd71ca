import Conversations
import Persistence
import Synchronization

/// What a process that is alone on its database goes by.
extension MemoryConformance {
    /// Seconds that a test counts.
    final class TestClock: Sendable {
        private let seconds = Atomic<UInt64>(1_000)
        var nanoseconds: UInt64 { seconds.load(ordering: .relaxed) * 1_000_000_000 }
        func advance(_ count: UInt64) { seconds.add(count, ordering: .relaxed) }
    }

    /// Looks until the process believes that nobody else is there.
    private static func beAlone(_ processes: Processes) async throws {
        try expectEqual(try await processes.store.soleUse.look(), .nothing, "the first look")
        processes.clock.advance(1)
        try expectEqual(try await processes.store.soleUse.look(), .nothing, "a look before everybody has looked")
        processes.clock.advance(4)
        try expectEqual(try await processes.store.soleUse.look(), .begun, "the look after that")
    }

    @Sendable static func noStatement(_ processes: Processes) async throws {
        let store = processes.store
        let made = try await store.create(SessionDraft(owner: owner, externalID: "known"))
        _ = try await store.append(ConversationSamples.turn(made, ["question", "answer"]))
        _ = try await visit(store, "known")
        processes.database.fail(atStep: 0, with: .data)
        try await expectFailure([.data], "the version is asked for") { try await visit(store, "known") }
        try await beAlone(processes)
        // What memory has from before is asked for once.
        processes.database.fail(atStep: 0, with: .data)
        try await expectFailure([.data], "the version is asked for") { try await visit(store, "known") }
        _ = try await visit(store, "known")
        for _ in 0..<3 {
            processes.database.fail(atStep: 0, with: .data)
            try expect(try await visit(store, "known") != nil, "the session")
            try expect(processes.database.withdraw(), "a statement was run")
        }
        // What was found is believed for one and a half seconds and no longer.
        processes.clock.advance(2)
        processes.database.fail(atStep: 0, with: .data)
        try await expectFailure([.data], "the version is asked for") { try await visit(store, "known") }
    }

    /// What nobody uses at this moment has ended.
    private static func purgeAll(_ processes: Processes) async {
        var limits = SessionPurge.Limits()
        limits.timeToLive = .zero
        let chore = SessionPurge.chore(limits, every: .seconds(600), store: processes.store)
        await ChoreConformance.run(chore, rounds: 1, on: processes.database)
    }

    @Sendable static func ownChanges(_ processes: Processes) async throws {
        let (store, other) = (processes.store, processes.other)
        let name = "own"
        let made = try await store.create(SessionDraft(owner: owner, externalID: name))
        try await beAlone(processes)
        let changes: [@Sendable () async throws -> Void] = [
            {
                let now = try await other.current(made)
                _ = try await store.append(ConversationSamples.turn(now, ["question", "answer"]))
            },
            { _ = try await store.update(made.key) { $0.maxHistory = 3 } },
            { _ = try await store.update(made.key, conversation: { $0.groupName = "g" }) { _ in } },
            { _ = try await store.delete(made.key) },
            { _ = try await store.create(SessionDraft(owner: owner, externalID: name)) },
            { await purgeAll(processes) },
            { _ = try await store.create(SessionDraft(owner: owner, externalID: name)) },
            { _ = try await store.erase(owner) },
            { _ = try await store.create(SessionDraft(owner: owner, externalID: name)) },
            {
                guard let session = try await other.store.session(SessionReference(name), of: owner) else { return }
                _ = try await store.purge(session.key)
            },
        ]
        for (index, change) in changes.enumerated() {
            _ = try await visit(store, name)
            try await change()
            let stored = try await other.store.session(SessionReference(name), of: owner)
            let found = try await visit(store, name)
            // Memory has its own clock of when that was.
            try expectEqual(found?.key, stored?.key, "the session after change \(index)")
            try expectEqual(found?.version, stored?.version, "its version")
            try expectEqual(found?.nextSeq, stored?.nextSeq, "its messages")
            try expectEqual(found?.settings, stored?.settings, "its settings")
            try expectEqual(found?.conversation, stored?.conversation, "its conversation")
            try expectEqual(found?.contextStartSeq, stored?.contextStartSeq, "where its history begins")
        }
    }

    @Sendable static func anotherComes(_ processes: Processes) async throws {
        let (store, other) = (processes.store, processes.other)
        let made = try await store.create(SessionDraft(owner: owner, externalID: "shared"))
        try await beAlone(processes)
        _ = try await visit(store, "shared")
        let arriving = SoleUse(.never, processes.database) { processes.clock.nanoseconds }
        try expectEqual(try await arriving.look(), .wasNamed, "what the process that comes finds")
        // For so long it serves nobody, and meanwhile the first one has looked.
        processes.clock.advance(1)
        try expectEqual(try await store.soleUse.look(), .ended, "what the first one finds")
        processes.clock.advance(2)
        _ = try await other.store.update(made.key) { $0.maxHistory = 3 }
        try expectEqual(try await visit(store, "shared")?.settings.maxHistory, 3, "the change of the other")
        try expect(store.soleUse.isEnded, "it is told")
        // Once is enough: it does not claim the database again.
        for _ in 0..<4 {
            processes.clock.advance(1)
            try expectEqual(try await store.soleUse.look(), .nothing, "a later look")
        }
    }

    /// A turn that goes by memory, and was not told of anything since.
    private static func turn(_ store: ConversationStore, _ name: String) throws -> TurnDraft {
        guard let (session, premise) = store.believed(SessionReference(name), of: owner) else {
            throw ConformanceFailure(description: "memory is not believed")
        }
        var turn = ConversationSamples.turn(session, ["question", "answer"])
        turn.premise = premise
        return turn
    }

    @Sendable static func ownChangesMeanwhile(_ processes: Processes) async throws {
        let (store, name) = (processes.store, "meanwhile")
        let made = try await store.create(SessionDraft(owner: owner, externalID: name))
        try await beAlone(processes)
        _ = try await visit(store, name)
        let turns = try (0..<8).map { _ in try turn(store, name) }
        try await withThrowingTaskGroup { group in
            for turn in turns { group.addTask { try expectStored(try await store.append(turn), "of turns at once") } }
            try await group.waitForAll()
        }
        _ = try await visit(store, name)
        for turn in try (0..<3).map({ _ in try turn(store, name) }) {
            try expectStored(try await store.append(turn), "of turns one after the other")
        }
        let changes: [(AppendOutcome?, @Sendable () async throws -> Void)] = [
            (nil, { _ = try await store.update(made.key) { $0.maxHistory = 3 } }),
            (nil, { _ = try await store.append(all: [ConversationSamples.turn(made, ["by", "the API"])]) }),
            (
                nil,
                {
                    _ = try await store.delete(made.key)
                    _ = try await store.restore(made.key)
                }
            ),
            (.sessionDeleted, { _ = try await store.delete(made.key) }),
            (.sessionDeleted, { _ = try await store.erase(owner) }),
            (.sessionDeleted, { await purgeAll(processes) }),
        ]
        for (index, (expected, change)) in changes.enumerated() {
            if try await visit(store, name) == nil {
                try await store.create(SessionDraft(owner: owner, externalID: name))
            }
            let turn = try turn(store, name)
            try await change()
            let outcome = try await store.append(turn)
            if let expected {
                try expectEqual(outcome, expected, "behind change \(index)")
            } else {
                try expectStored(outcome, "behind change \(index)")
            }
        }
        try expect(store.soleUse.isInForce, "this process is still alone")
    }

    private static func expectStored(_ outcome: AppendOutcome, _ subject: String) throws {
        if case .stored = outcome { return }
        throw ConformanceFailure(description: "\(subject): \(outcome)")
    }

    /// The process that remembers is another one, which claims the database again once others have left.
    private static func whileAlone(_ processes: Processes) -> Processes {
        let store = ConversationStore(
            database: processes.database, durability: nil, cacheLimit: 1 << 20,
            soleUse: SoleUse(.whileAlone, processes.database) { processes.clock.nanoseconds })
        return Processes(store: store, database: processes.database, clock: processes.clock, other: processes.other)
    }

    /// However often they come, and whatever memory has from before.
    @Sendable static func changedByThoseWhoLeft(_ processes: Processes) async throws {
        let other = processes.other
        let made = try await other.store.create(SessionDraft(owner: owner, externalID: "left"))
        for processes in [processes, whileAlone(processes)] {
            let store = processes.store
            for round in 0..<(store.soleUse.wish == .always ? 1 : 2) {
                try await other.append(ConversationSamples.turn(try await other.current(made), ["question", "answer"]))
                try await beAlone(processes)
                let found = try await visit(store, "left")
                let stored = try await other.store.session(SessionReference("left"), of: owner)
                try expectEqual(found, stored, "what is seen in round \(round)")
                try expectStored(try await store.append(turn(store, "left")), "of a turn in round \(round)")
                let arriving = SoleUse(.never, processes.database) { processes.clock.nanoseconds }
                try expectEqual(try await arriving.look(), .wasNamed, "what the process that comes finds")
                try expectEqual(try await store.soleUse.look(), .ended, "what the one that stays finds")
                processes.clock.advance(3_600)
            }
        }
    }

    /// Memory may have the session by then as the other process has left it: MariaDB's rows are claimed, and not changed.
    @Sendable static func failedPremise(_ processes: Processes) async throws {
        let watched = WatchedDatabase(processes.database)
        let store = ConversationStore(
            database: watched, durability: nil, cacheLimit: 1 << 20,
            soleUse: SoleUse(.always, processes.database) { processes.clock.nanoseconds })
        let processes = Processes(
            store: store, database: processes.database, clock: processes.clock, other: processes.other)
        let made = try await store.create(SessionDraft(owner: owner, externalID: "premise"))
        try await beAlone(processes)
        _ = try await visit(store, "premise")
        let turn = try turn(store, "premise")
        let changed = try await processes.other.store.update(made.key) { $0.maxHistory = 3 }
        // By then nothing is believed unasked.
        processes.clock.advance(2)
        try expectEqual(try await visit(store, "premise"), changed, "what memory has")
        let before = watched.transactions
        try expectEqual(try await store.append(turn), .changedByOthers, "a turn on what was before")
        let attempts = watched.dialect == .mariadb ? 2 : 1
        try expectEqual(watched.transactions - before, attempts, "the first attempt goes by memory")
        try expectEqual(try await processes.other.current(made), changed, "the session")
    }

    @Sendable static func othersChanges(_ processes: Processes) async throws {
        let (other, name) = (processes.other.store, "others")
        let made = try await other.create(SessionDraft(owner: owner, externalID: name))
        let store = whileAlone(processes).store
        let changes: [@Sendable () async throws -> Void] = [
            { try await processes.other.append(ConversationSamples.turn(made, ["question", "answer"])) },
            { _ = try await other.update(made.key) { $0.maxHistory = 3 } },
            {
                // What it does itself meanwhile explains what it has changed, and no more.
                _ = try await other.update(made.key) { $0.maxHistory = 4 }
                try expectEqual(try await store.restore(branch: 9_999, of: made.key), .noSuchBranch, "no change")
            },
            {
                _ = try await other.update(made.key) { $0.maxHistory = 5 }
                _ = try await store.update(made.key) { $0.maxHistory = 6 }
            },
            {
                _ = try await store.update(made.key) { $0.maxHistory = 7 }
                _ = try await other.update(made.key) { $0.maxHistory = 8 }
            },
            { _ = try await other.delete(made.key) },
        ]
        for (index, change) in changes.enumerated() {
            processes.clock.advance(3_600)
            for _ in 0..<6 {
                _ = try await store.soleUse.look()
                processes.clock.advance(1)
            }
            _ = try await visit(store, name)
            let turns = [try turn(store, name), try turn(store, name)]
            try await change()
            for turn in turns {
                try expectEqual(try await store.append(turn), .changedByOthers, "behind change \(index)")
                // Then memory knows better than the next one.
                _ = try await visit(store, name)
            }
            try expect(!store.soleUse.isInForce, "it is not alone")
            let known = try await visit(store, name)
            try expectEqual(known, try await other.session(SessionReference(name), of: owner), "what is seen then")
        }
    }
}
