import Conversations
import Persistence

/// Sessions that become another conversation of an agent.
enum MoveConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("a session becomes another conversation, and nothing else changes", moves),
            ConformanceCase("a session becomes a group session and back, and is counted as one", groups),
            ConformanceCase("a conversation that another session is cannot be taken until that expires", taken),
            ConformanceCase("of many who become one conversation at once one does", race),
        ]
    }

    private static let owner = UniqueID.generate()

    private static func draft(_ name: String?, agent: String = "agent") -> SessionDraft {
        SessionDraft(owner: owner, conversation: AgentConversation(agentID: agent, externalID: name))
    }

    @Sendable private static func moves(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let session = try await samples.store.create(draft("old"))
            var wanted = AgentConversation(agentID: "other", externalID: "new")
            wanted.groupName = "g"
            wanted.participantID = "p"
            wanted.peerAgentID = "q"
            let changed = try await samples.store.update(session.key, conversation: { [wanted] in $0 = wanted }) { _ in
            }
            var expected = session
            expected.conversation = wanted
            expected.version = session.version + 1
            expected.updatedAt = changed?.updatedAt ?? session.updatedAt
            try expectEqual(changed, expected, "the session")
            try expect(expected.updatedAt > session.updatedAt, "it was changed later than it was made")
            try expectEqual(try await samples.current(session), expected, "the session, read again")
            let found = try await samples.store.findOrCreate(draft("new", agent: "other"))
            try expectEqual(found, .found(expected), "by its new name")
            let other = try await samples.store.create(draft("old"))
            try expect(other.key != session.key, "its old name is free")
            let cleared = try await samples.store.update(session.key, conversation: { $0.externalID = nil }) { _ in }
            try expect(cleared?.conversation?.externalID == nil, "its name is cleared")
            _ = try await samples.store.create(draft("new", agent: "other"))
            do {
                let long = String(repeating: "x", count: 256)
                _ = try await samples.store.update(session.key, conversation: { $0.groupName = long }) { _ in }
                throw ConformanceFailure(description: "a name that does not fit was stored")
            } catch ConversationError.invalid {}
        }
    }

    @Sendable private static func groups(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let sessions = [try await samples.store.create(draft("a")), try await samples.store.create(draft("b"))]
            for isGroup in [true, true, false, false] {
                let key = sessions[0].key
                _ = try await samples.store.update(key, conversation: { $0.isGroup = isGroup }) { _ in }
                let (own, all) = try await samples.store.read { reader in
                    (
                        try reader.sessions(of: owner, SessionFilter(includesGroups: false), limit: 9),
                        try reader.sessions(of: owner, limit: 9)
                    )
                }
                let expected = Set(sessions.map(\.key).filter { $0 != key || !isGroup })
                try expectEqual(Set(own.elements.map(\.key)), expected, "one's own")
                try expectEqual([own.total, all.total], [expected.count, 2], "the totals")
            }
        }
    }

    @Sendable private static func taken(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let (mine, other) = (try await samples.store.create(draft("a")), try await samples.store.create(draft("b")))
            let move: @Sendable (inout AgentConversation) throws -> Void = { $0.externalID = "b" }
            do {
                _ = try await samples.store.update(mine.key, conversation: move) { $0.title = "x" }
                throw ConformanceFailure(description: "two sessions are one conversation")
            } catch ConversationError.conversationTaken {}
            try expectEqual(try await samples.current(mine), mine, "the session")
            let stranger = UniqueID.generate()
            let theirs = try await samples.store.create(
                SessionDraft(owner: stranger, conversation: AgentConversation(agentID: "agent", externalID: "a")))
            _ = try await samples.store.update(theirs.key, conversation: move) { _ in }
            try await samples.database.write { connection in
                _ = try connection.execute(
                    "UPDATE sessions SET expires_us = 1 WHERE session_id = \(other.key.session)")
            }
            let moved = try await samples.store.update(mine.key, conversation: move) { _ in }
            try expectEqual(moved?.conversation?.externalID, "b", "the name")
            try expectEqual(try await samples.store.read { try $0.sessions(of: owner, limit: 9).total }, 1, "the total")
        }
    }

    @Sendable private static func race(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            try await fixture.with { second in
                let stores = [samples.store, ConversationStore(database: second)]
                for round in 0..<5 {
                    var sessions: [SessionKey] = []
                    for index in 0..<8 { sessions.append(try await stores[0].create(draft("\(round)-\(index)")).key) }
                    let names = try await withThrowingTaskGroup(of: SessionKey?.self) { group in
                        for (index, key) in sessions.enumerated() {
                            group.addTask { try await taker(of: "one-\(round)", key, stores[index % 2]) }
                        }
                        group.addTask { try await stores[1].findOrCreate(draft("one-\(round)")).session.key }
                        return try await group.reduce(into: [SessionKey?]()) { $0.append($1) }.compactMap(\.self)
                    }
                    // Who found or made it has the one that it is.
                    try expectEqual(Set(names).count, 1, "sessions that are the conversation")
                }
            }
        }
    }

    /// The session, if it is the conversation now.
    private static func taker(of name: String, _ key: SessionKey, _ store: ConversationStore) async throws
        -> SessionKey?
    {
        do {
            return try await store.update(key, conversation: { $0.externalID = name }) { _ in }?.key
        } catch ConversationError.conversationTaken {
            return nil
        }
    }
}
