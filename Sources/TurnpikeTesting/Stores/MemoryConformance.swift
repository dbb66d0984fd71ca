import Conversations
import NIOCore
import Persistence
import TurnpikeKit

/// What a process keeps of sessions in memory is never what an exchange goes by once another process has changed it.
enum MemoryConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("an exchange sees every change that another process made", otherProcess),
            ConformanceCase("64 exchanges at once get their own sessions, and strangers none", manyAtOnce),
            ConformanceCase("names that only look the same are two sessions in memory too", exactNames),
        ]
    }

    private static let owner = UniqueID.generate()

    /// Runs `body` with a store that remembers, and with the samples of another process.
    private static func with(
        _ fixture: any DatabaseFixture, _ body: (ConversationStore, ConversationSamples) async throws -> Void
    ) async throws {
        try await ConversationSamples.with(fixture) { samples in
            try await fixture.with { second in
                try await body(ConversationStore(database: second, durability: nil, cacheLimit: 1 << 20), samples)
            }
        }
    }

    /// Finds a session as an exchange does, and reads its history, so that both are in memory.
    static func visit(_ store: ConversationStore, _ name: String, of owner: UniqueID = owner) async throws
        -> Session?
    {
        guard let session = try await store.sessionOfExchange(SessionReference(name), of: owner) else { return nil }
        try await store.readHistory(of: session, counting: BufferReservation(BufferBudget(limit: 1 << 20))) {
            _ = try $0.newest(20, of: session.key, from: session.contextStartSeq)
            // What was read is kept only if it is known to be of one version.
            _ = try $0.session(session.key)
        }
        return session
    }

    @Sendable private static func otherProcess(_ fixture: any DatabaseFixture) async throws {
        try await with(fixture) { store, other in
            let name = "shared"
            let made = try await other.store.create(SessionDraft(owner: owner, externalID: name))
            let changes: [@Sendable () async throws -> Void] = [
                {
                    try await other.append(
                        ConversationSamples.turn(try await other.current(made), ["question", "answer"]))
                },
                { _ = try await other.store.update(made.key) { $0.maxHistory = 3 } },
                { try await other.store.moveContextStart(made.key, from: 0, to: 1) },
                { _ = try await other.store.delete(made.key) },
                { _ = try await other.store.create(SessionDraft(owner: owner, externalID: name)) },
            ]
            for (index, change) in changes.enumerated() {
                _ = try await visit(store, name)
                try expectEqual(
                    try await visit(store, name), try await other.store.session(SessionReference(name), of: owner),
                    "the session before change \(index)")
                try await change()
                try expectEqual(
                    try await visit(store, name), try await other.store.session(SessionReference(name), of: owner),
                    "the session after change \(index)")
            }
        }
    }

    @Sendable private static func manyAtOnce(_ fixture: any DatabaseFixture) async throws {
        try await with(fixture) { store, other in
            for index in 0..<64 {
                try await other.store.create(SessionDraft(owner: owner, externalID: "id-\(index)"))
                _ = try await visit(store, "id-\(index)")
            }
            let stranger = UniqueID.generate()
            try await withThrowingTaskGroup { group in
                for index in 0..<64 {
                    group.addTask {
                        let found = try await visit(store, "id-\(index)")
                        try expectEqual(found?.externalID, "id-\(index)", "the session")
                        try expect(try await visit(store, "id-\(index)", of: stranger) == nil, "a stranger's")
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Sendable private static func exactNames(_ fixture: any DatabaseFixture) async throws {
        try await with(fixture) { store, other in
            let names = ["\u{e9}", "e\u{301}"]
            for name in names { try await other.store.create(SessionDraft(owner: owner, externalID: name)) }
            for name in names + names {
                let found = try await visit(store, name)
                try expect(found?.externalID?.utf8.elementsEqual(name.utf8) ?? false, "the session of that very name")
            }
        }
    }
}
