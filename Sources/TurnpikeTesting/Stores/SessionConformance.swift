import Conversations
import NIOCore
import Persistence

/// Making, finding, listing, changing and deleting sessions.
enum SessionConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("a session comes back as it was made", roundTrip),
            ConformanceCase("a session is found by every form of its names", references),
            ConformanceCase("a value that does not fit is refused before it is stored", limits),
            ConformanceCase("an external id can be used once by a user", duplicates),
            ConformanceCase("64 callers who find or create at once get one session", race),
            ConformanceCase("two processes that find or create at once get one session", raceOfProcesses),
            ConformanceCase("a session whose commit got no answer is made once", unknownCommit),
            ConformanceCase("a list is newest first, in pages, with a total", lists),
            ConformanceCase("settings change and nothing else does", updates),
            ConformanceCase("a deleted session is gone, and its external ids are free", deletion),
            ConformanceCase("purging leaves no row", purging),
            ConformanceCase("no operation reaches another user's session", isolation),
        ]
    }

    private static let owner = UniqueID.generate()

    private static func full(_ owner: UniqueID = owner) -> SessionDraft {
        var conversation = AgentConversation(agentID: "agent", externalID: "🍣 conv ")
        conversation.isGroup = true
        conversation.groupName = "group"
        conversation.participantID = "p"
        conversation.peerAgentID = "peer"
        var draft = SessionDraft(owner: owner, externalID: "my id\u{0}", conversation: conversation)
        draft.settings.title = "a title 🍺"
        draft.settings.sourceChannel = "slack"
        draft.settings.provider = "openai"
        draft.settings.model = "gpt"
        draft.settings.maxHistory = 7
        draft.settings.historyMode = "append"
        draft.settings.truncation = "stable"
        draft.settings.metadata = ByteBuffer(string: #"{ "a" : [1] }"#)
        return draft
    }

    @Sendable private static func roundTrip(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let draft = full()
            let made = try await samples.store.create(draft)
            try expectEqual(made.key, draft.key, "the key")
            try expectEqual(made.externalID, draft.externalID, "the external id")
            try expectEqual(made.conversation, draft.conversation, "the conversation")
            try expectEqual(made.settings, draft.settings, "the settings")
            try expectEqual(made.counters, SessionCounters(), "the counters")
            try expect(made.lastTurn == nil && made.systemDigest == nil, "no turn yet")
            try expectEqual(try await samples.current(made), made, "the session")
            let plain = try await samples.store.create(SessionDraft(owner: owner))
            try expect(plain.externalID == nil && plain.conversation == nil, "no names")
            try expectEqual(plain.settings, SessionSettings(), "empty settings")
        }
    }

    @Sendable private static func references(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let session = try await samples.store.create(SessionDraft(owner: owner, externalID: "chat-1"))
            let uuid = UniqueID.generate().uuidString
            let browser = try await samples.store.create(SessionDraft(owner: owner, externalID: uuid))
            let id = session.key.session
            for text in [id.uuidString, id.uuidString.uppercased(), id.description(prefix: "sess_"), "chat-1"] {
                let found = try await samples.store.session(SessionReference(text), of: owner)
                try expectEqual(found?.key, session.key, text)
            }
            try expectEqual(
                try await samples.store.session(SessionReference(uuid), of: owner)?.key, browser.key,
                "a UUID of the client's")
            for text in ["", "chat-2", "CHAT-1", "chat-1 ", UniqueID.generate().uuidString, "%", "chat__"] {
                let found = try await samples.store.session(SessionReference(text), of: owner)
                try expect(found == nil, "\(text) names nothing")
            }
        }
    }

    @Sendable private static func limits(_ fixture: any DatabaseFixture) async throws {
        let long = String(repeating: "é", count: 201)
        var drafts = [SessionDraft(owner: owner, externalID: long), SessionDraft(owner: owner, externalID: "")]
        drafts.append(SessionDraft(owner: owner, conversation: AgentConversation(agentID: long, externalID: "x")))
        drafts.append(SessionDraft(owner: owner, conversation: AgentConversation(agentID: "x", externalID: "")))
        var titled = SessionDraft(owner: owner)
        titled.settings.title = long
        drafts.append(titled)
        try await ConversationSamples.with(fixture) { samples in
            for draft in drafts {
                do {
                    _ = try await samples.store.create(draft)
                    throw ConformanceFailure(description: "a draft that does not fit was stored")
                } catch is ConversationError {}
            }
            try expectEqual(try await samples.store.read { try $0.sessions(of: owner, limit: 9).total }, 0, "sessions")
        }
    }

    @Sendable private static func duplicates(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let first = try await samples.store.create(full())
            for draft in [SessionDraft(owner: owner, externalID: first.externalID), full()] {
                do {
                    _ = try await samples.store.create(draft)
                    throw ConformanceFailure(description: "an external id was used twice")
                } catch ConversationError.alreadyExists {}
                try expectEqual(try await samples.store.findOrCreate(draft), .found(first), "find or create")
            }
            _ = try await samples.store.create(SessionDraft(owner: owner, externalID: "other"))
            try expectEqual(try await samples.store.read { try $0.sessions(of: owner, limit: 9).total }, 2, "the total")
        }
    }

    private static func race(_ stores: [ConversationStore], _ draft: @escaping @Sendable () -> SessionDraft)
        async throws
    {
        let found = try await withThrowingTaskGroup(of: FoundSession.self) { group in
            for index in 0..<64 { group.addTask { try await stores[index % stores.count].findOrCreate(draft()) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        try expectEqual(Set(found.map(\.session.key)).count, 1, "different sessions")
        let created = found.filter { found in
            if case .created = found { return true }
            return false
        }
        try expectEqual(created.count, 1, "sessions that were made")
    }

    @Sendable private static func race(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            for index in 0..<5 {
                try await race([samples.store]) { SessionDraft(owner: owner, externalID: "id-\(index)") }
                try await race([samples.store]) {
                    SessionDraft(owner: owner, conversation: AgentConversation(agentID: "", externalID: "c-\(index)"))
                }
            }
            try expectEqual(
                try await samples.store.read { try $0.sessions(of: owner, limit: 1).total }, 10, "the total")
        }
    }

    @Sendable private static func raceOfProcesses(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            try await fixture.with { second in
                let stores = [samples.store, ConversationStore(database: second)]
                for index in 0..<5 { try await race(stores) { SessionDraft(owner: owner, externalID: "id-\(index)") } }
                try expectEqual(try await stores[1].read { try $0.sessions(of: owner, limit: 1).total }, 5, "the total")
            }
        }
    }

    @Sendable private static func unknownCommit(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let faulty = FaultyDatabase(samples.database)
            let store = ConversationStore(database: faulty)
            for (index, draft) in [SessionDraft(owner: owner), full()].enumerated() {
                faulty.failNextCommit(.happened)
                try expectEqual(try await store.create(draft).key, draft.key, "the session")
                try expect(!faulty.withdraw(), "the commit failed")
                try expectEqual(try await store.create(draft).key, draft.key, "the same draft again")
                let total = try await store.read { try $0.sessions(of: owner, limit: 9).total }
                try expectEqual(total, index + 1, "the total")
            }
        }
    }

    @Sendable private static func lists(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            var sessions: [Session] = []
            for index in 0..<5 {
                var draft = SessionDraft(owner: owner)
                draft.settings.sourceChannel = index % 2 == 0 ? "even" : "odd"
                sessions.append(try await samples.store.create(draft))
            }
            // The first session speaks last, so it leads the list.
            try await samples.append(ConversationSamples.turn(sessions[0], ["hello", "hi"]))
            let expected = [0, 4, 3, 2, 1].map { sessions[$0].key }
            let all = try await samples.store.read { try $0.sessions(of: owner, limit: 10) }
            try expectEqual(all.elements.map(\.key), expected, "the list")
            try expectEqual(all.total, 5, "the total")
            let page = try await samples.store.read { try $0.sessions(of: owner, limit: 2, offset: 1) }
            try expectEqual(page.elements.map(\.key), Array(expected[1...2]), "a page")
            try expectEqual(page.total, 5, "the total of a page")
            let odd = try await samples.store.read {
                try $0.sessions(of: owner, SessionFilter(sourceChannel: "odd"), limit: 1)
            }
            try expectEqual(odd.elements.map(\.key), [sessions[3].key], "a filtered page")
            try expectEqual(odd.total, 2, "the filtered total")
        }
    }

    @Sendable private static func updates(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let session = try await samples.store.create(full())
            let changed = try await samples.store.update(session.key) { settings in
                settings.title = "new"
                settings.maxHistory = nil
            }
            var expected = session
            expected.settings.title = "new"
            expected.settings.maxHistory = nil
            expected.version = session.version + 1
            expected.updatedAt = changed?.updatedAt ?? session.updatedAt
            try expectEqual(changed, expected, "the session")
            try expectEqual(try await samples.current(session), expected, "the session, read again")
            let unknown = SessionKey(owner: owner, session: .generate())
            try expect(try await samples.store.update(unknown) { $0.title = "x" } == nil, "an unknown session")
        }
    }

    @Sendable private static func deletion(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let session = try await samples.store.create(full())
            try expectEqual(try await samples.store.delete(session.key), .deleted, "the first time")
            try expectEqual(try await samples.store.delete(session.key), .notFound, "the second time")
            for text in [session.key.session.uuidString, session.externalID ?? ""] {
                try expect(try await samples.store.session(SessionReference(text), of: owner) == nil, "it is gone")
            }
            let list = try await samples.store.read { try $0.sessions(of: owner, limit: 10) }
            try expect(list.elements.isEmpty && list.total == 0, "it is in no list")
            try expect(try await samples.store.update(session.key) { $0.title = "x" } == nil, "it cannot be changed")
            let outcome = try await samples.store.append(ConversationSamples.turn(session, ["late", "answer"]))
            try expectEqual(outcome, .sessionDeleted, "a turn that comes late")
            let again = try await samples.store.create(full())
            try expect(again.key != session.key, "a new session under the old name")
        }
    }

    @Sendable private static func purging(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            for deletesFirst in [false, true] {
                let session = try await samples.store.create(full())
                var turn = ConversationSamples.turn(session, ["a", "b"])
                turn.system = SystemMessages(body: ByteBuffer(string: "[]"), digest: ConversationSamples.digest("s"))
                try await samples.append(turn)
                if deletesFirst { _ = try await samples.store.delete(session.key) }
                try expectEqual(try await samples.store.purge(session.key), .deleted, "the first time")
                try expectEqual(try await samples.store.purge(session.key), .notFound, "the second time")
                for table in ["sessions", "turns", "messages", "session_systems"] {
                    let rows = try await samples.database.read { connection in
                        try connection.first("SELECT COUNT(*) FROM \(raw: table)") { try $0.integer(0) }
                    }
                    try expectEqual(rows, 0, "rows of \(table)")
                }
                try expectEqual(
                    try await samples.store.read { try $0.sessions(of: owner, limit: 1).total }, 0, "the total")
            }
        }
    }

    @Sendable private static func isolation(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let store = samples.store
            let mine = try await store.create(full())
            let stranger = UniqueID.generate()
            let theirs = try await store.create(full(stranger))
            try expect(theirs.key != mine.key, "two sessions under the same names")
            try await samples.append(ConversationSamples.turn(mine, ["secret", "answer"]))
            // The stranger knows every id of mine.
            let stolen = SessionKey(owner: stranger, session: mine.key.session)
            try expect(try await store.session(SessionReference(mine.key.session), of: stranger) == nil, "reading")
            try expectEqual(
                try await store.session(SessionReference(mine.externalID ?? ""), of: stranger)?.key, theirs.key,
                "by name")
            try expectEqual(try await store.findOrCreate(full(stranger)).session.key, theirs.key, "find or create")
            try expect(try await store.update(stolen) { $0.title = "stolen" } == nil, "changing")
            try expectEqual(try await store.delete(stolen), .notFound, "deleting")
            try expectEqual(try await store.purge(stolen), .notFound, "purging")
            let turn = ConversationSamples.turn(theirs, ["x", "y"])
            let forged = TurnDraft(
                key: stolen, baseSeq: 1, requestDigest: turn.requestDigest, messages: turn.messages)
            try expectEqual(try await store.append(forged), .sessionDeleted, "appending")
            let read = try await store.read { reader in
                try reader.newest(10, of: stolen).count + reader.outlines(of: stolen).count
                    + reader.messages(of: stolen, in: 0..<100).count + reader.messages(of: stolen, seqs: [1, 2]).count
                    + reader.messages(of: stolen, MessageQuery()).total
            }
            try expectEqual(read, 0, "messages")
            try expect(try await store.read { try $0.system(stolen) } == nil, "the system messages")
            try expectEqual(
                try await store.read { try $0.sessions(of: stranger, limit: 9).elements }, [theirs], "the list")
            try expectEqual(try await samples.texts(mine.key), ["secret", "answer"], "what is mine")
        }
    }
}
