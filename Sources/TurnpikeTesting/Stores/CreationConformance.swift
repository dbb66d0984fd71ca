import Conversations
import NIOCore
import Persistence

/// Many sessions that are made at once: each once, and counted once.
enum CreationConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("sessions that are made at once are each made once, whoever has made some before", atOnce),
            ConformanceCase("a fault at any step leaves new sessions made and counted once", faults),
        ]
    }

    private static func draft(_ owner: UniqueID, _ index: Int) -> SessionDraft {
        var draft = SessionDraft(owner: owner, externalID: "id-\(index)")
        draft.settings.sourceChannel = index.isMultiple(of: 2) ? "even" : nil
        if index.isMultiple(of: 3) { draft.conversation = AgentConversation(agentID: "a", externalID: "c-\(index)") }
        return draft
    }

    /// As callers do who have looked, and found none.
    ///
    /// - Returns: The sessions in order, and whether each was made.
    private static func make(
        _ drafts: [SessionDraft], _ stores: [ConversationStore]
    ) async throws -> [(session: Session, isNew: Bool)] {
        try await withThrowingTaskGroup(of: (Int, FoundSession).self) { group in
            for (index, draft) in drafts.enumerated() {
                group.addTask { (index, try await stores[index % stores.count].createOrFind(draft)) }
            }
            let found = try await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }
            return found.map { _, found in
                if case .created(let session) = found { return (session, true) }
                return (found.session, false)
            }
        }
    }

    @Sendable private static func atOnce(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            try await fixture.with { second in
                let stores = [samples.store, ConversationStore(database: second)]
                for round in 0..<4 {
                    let owner = UniqueID.generate()
                    let early = try await samples.store.create(draft(owner, 5))
                    let drafts = (0..<40).map { draft(owner, $0) } + (0..<8 * round).map { draft(owner, 20 + $0 % 20) }
                    let made = try await make(drafts, stores)
                    for (draft, made) in zip(drafts, made) {
                        try expectEqual(made.session.externalID, draft.externalID, "the name")
                        try expectEqual(made.session.settings, draft.settings, "the settings")
                        try expectEqual(
                            try await samples.current(made.session).key, made.session.key, "what is stored")
                    }
                    try expectEqual(made[5].session.key, early.key, "what was there")
                    try expectEqual(made.count { $0.isNew }, 39, "sessions that were made")
                    try expectEqual(Set(made.map(\.session.key)).count, 40, "sessions")
                    try await LimitConformance.expectSums(samples, owner, "round \(round)")
                }
            }
        }
    }

    @Sendable private static func faults(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            for failure in [DatabaseError.Failure.retryTransaction, .resend, .unavailable] {
                for step in 0..<20 {
                    let owner = UniqueID.generate()
                    let faulty = FaultyDatabase(samples.database)
                    let store = ConversationStore(database: faulty)
                    faulty.fail(atStep: step, with: failure)
                    let drafts = (0..<4).map { draft(owner, $0) }
                    let isMade = (try? await make(drafts, [store])) != nil
                    let isOver = faulty.withdraw()
                    // Who was refused asks again, with the same draft.
                    let made = try await make(drafts, [store])
                    try expectEqual(made.map(\.session.key), drafts.map(\.key), "\(failure) at step \(step)")
                    try await LimitConformance.expectSums(samples, owner, "\(failure) at step \(step)")
                    if isOver {
                        try expect(isMade && step > 0, "without a fault they are made")
                        break
                    }
                    try expect(step < 19, "the steps end")
                }
            }
            for isMade in [true, false] {
                let owner = UniqueID.generate()
                let faulty = FaultyDatabase(samples.database)
                faulty.failNextCommit(isMade ? .happened : .lost)
                let drafts = (0..<4).map { draft(owner, $0) }
                let made = try await make(drafts, [ConversationStore(database: faulty)])
                try expect(!faulty.withdraw(), "the commit failed")
                try expectEqual(made.map(\.session.key), drafts.map(\.key), "the answer to the commit was lost")
                try await LimitConformance.expectSums(samples, owner, "the answer to the commit was lost")
            }
        }
    }
}
