import Conversations
import Persistence

/// Sessions that were made elsewhere, and what they keep.
enum ImportConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("an import keeps its names where they are free, and what was thought of it", keeping),
            ConformanceCase("an import never takes a name from another session", givingUp),
            ConformanceCase("of 32 imports of one name at once one gets it", race),
            ConformanceCase("what exchanges are going to store takes room from an import", holds),
        ]
    }

    /// A session with both kinds of names, two turns and feedback.
    private static func whole(_ owner: UniqueID, id: String? = "mine", conversation: String? = "conv") -> SessionImport
    {
        var draft = SessionDraft(
            owner: owner, externalID: id, conversation: AgentConversation(agentID: "agent", externalID: conversation))
        draft.settings.title = "brought along"
        var whole = SessionImport(draft)
        whole.turns = [["a", "b"], ["c", "d"]].enumerated().map { index, texts in
            ConversationSamples.turn(draft.key, texts, base: Int64(2 * index + 1))
        }
        whole.feedback = [feedback(nil, score: 100), feedback(4, score: 250)]
        return whole
    }

    private static func feedback(_ seq: Int64?, score: Int) -> Feedback {
        var feedback = Feedback(
            seq: seq, thumb: .down, scoreHundredths: score, comment: "c", at: Timestamp(microseconds: 5_000_000))
        feedback.updatedAt = Timestamp(microseconds: 6_000_000)
        return feedback
    }

    @Sendable private static func keeping(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            // The same names of another user are other names.
            let other = try await samples.store.create(whole(.generate()))
            // Those of a session that is deleted are free.
            _ = try await samples.store.delete(try await samples.store.create(whole(owner)).key)
            let made = try await samples.store.create(whole(owner))
            try expectEqual(made.externalID, "mine", "the id")
            try expectEqual(made.conversation?.externalID, "conv", "the conversation")
            try expectEqual(try await samples.texts(made.key), ["a", "b", "c", "d"], "the messages")
            try expectEqual(made.counters.messages, 4, "the counter")
            let found = try await samples.store.read { try $0.feedback(of: made.key, limit: 9, offset: 0).elements }
            try expectEqual(found, [feedback(nil, score: 100), feedback(4, score: 250)], "the feedback")
            try expectEqual(try await samples.current(other), other, "the other user's session")
        }
    }

    @Sendable private static func givingUp(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            let first = try await samples.store.create(whole(owner, conversation: nil))
            let second = try await samples.store.create(whole(owner, id: nil))
            let (before, seconds) = (try await samples.current(first), try await samples.current(second))
            let made = try await samples.store.create(whole(owner))
            try expect(made.key != first.key && made.key != second.key, "a session of its own")
            try expect(made.externalID == nil && made.conversation?.externalID == nil, "the names are given up")
            try expectEqual(made.conversation?.agentID, "agent", "the agent")
            try expectEqual(try await samples.texts(made.key), ["a", "b", "c", "d"], "the messages")
            try expectEqual(try await samples.current(first), before, "the session with the id")
            try expectEqual(try await samples.current(second), seconds, "the session with the conversation")
        }
    }

    @Sendable private static func race(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            let made = try await withThrowingTaskGroup(of: Session.self) { group in
                for _ in 0..<32 { group.addTask { try await samples.store.create(whole(owner)) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            try expectEqual(Set(made.map(\.key)).count, 32, "sessions")
            try expectEqual(made.filter { $0.externalID != nil }.count, 1, "sessions with the id")
            try expectEqual(made.filter { $0.conversation?.externalID != nil }.count, 1, "with the conversation")
            let sums = try await samples.store.read { try $0.statistics(of: owner) }
            try expectEqual([sums.sessions, sums.messages, sums.feedback.count], [32, 128, 64], "what is counted")
        }
    }

    @Sendable private static func holds(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let session = try await samples.store.create(SessionDraft(owner: .generate()))
            let limits = MessageLimits(perUser: 6)
            let hold = try await samples.store.hold(3, of: session.key, within: limits)
            let owner = session.key.owner
            let check = { try await samples.store.check(owner, adding: 1, maximum: nil, messages: 4, within: limits) }
            try await expectRefusal("before anything is stored", check)
            try await expectRefusal("while it is stored") {
                _ = try await samples.store.create(whole(owner), within: limits)
            }
            hold.release()
            try await check()
            _ = try await samples.store.create(whole(owner), within: limits)
        }
    }

    private static func expectRefusal(_ when: String, _ call: () async throws -> Void) async throws {
        do {
            try await call()
        } catch ConversationError.tooManyMessages {
            return
        }
        throw ConformanceFailure(description: "not refused \(when)")
    }
}
