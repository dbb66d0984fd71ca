import Conversations
import Persistence

/// Lists of sessions, against the plainest way to make them.
enum ListConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("pages of a list with groups are the list, at any offset and by cursor", pages),
            ConformanceCase("what has expired is passed over, and a page behind it is full", expired),
            ConformanceCase("pages of deleted sessions begin with those that were deleted last", deleted),
            ConformanceCase("a filtered list is what fits of the list, in as many slices as it takes", filters),
            ConformanceCase("a full page of a filtered list is counted no further than it says", counting),
            ConformanceCase("a list by channel or tag takes texts that only look the same for two", exactTexts),
        ]
    }

    private static let owner = UniqueID.generate()

    /// 40 sessions of two agents, two channels and three tags, a third of them groups, many of the same moment.
    private static func fill(_ samples: ConversationSamples) async throws -> [Session] {
        for index in 0..<40 {
            var conversation = AgentConversation(agentID: "agent-\(index % 2)", externalID: "c\(index)")
            conversation.isGroup = index % 3 == 0
            var draft = SessionDraft(owner: owner, conversation: conversation)
            draft.settings.title = index % 4 == 0 ? "Straße \(index)" : "other \(index)"
            draft.settings.tags = ["tag-\(index % 3)"]
            draft.settings.sourceChannel = index % 5 == 0 ? "web" : nil
            _ = try await samples.store.create(draft)
        }
        try await samples.database.write { connection in
            _ = try connection.execute("UPDATE sessions SET last_message_at = 1000 + (created_us % 7)")
        }
        let stranger = try await samples.store.create(SessionDraft(owner: .generate()))
        _ = try await samples.append(ConversationSamples.turn(stranger, ["a", "b"]))
        var sessions: [Session] = []
        let keys = try await samples.database.read { connection in
            try connection.rows("SELECT session_id FROM sessions WHERE user_id = \(owner)") {
                SessionKey(owner: owner, session: try $0.value(0))
            }
        }
        for key in keys { sessions += try await samples.store.read { try $0.session(key).map { [$0] } ?? [] } }
        return sessions.sorted { ($1.lastMessageAt, $1.key.session) < ($0.lastMessageAt, $0.key.session) }
    }

    @Sendable private static func pages(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let all = try await fill(samples).map(\.key)
            try await expectPages(all, samples)
            try expectEqual(
                try await samples.store.read { try $0.sessions(of: owner, limit: 1) }.total, 40, "the total")
        }
    }

    /// More in a row than a page has, at the beginning and in the middle.
    @Sendable private static func expired(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let all = try await fill(samples)
            let gone = all.enumerated().filter { $0.offset < 9 || 15..<30 ~= $0.offset }.map(\.element.key.session)
            try await samples.database.write { connection in
                for id in gone {
                    try connection.execute(
                        "UPDATE sessions SET expires_us = 1 WHERE user_id = \(owner) AND session_id = \(id)")
                }
            }
            let left = all.filter { !gone.contains($0.key.session) }
            try await expectPages(left.map(\.key), samples)
            let own = left.filter { !($0.conversation?.isGroup ?? false) }
            try await expectPages(own.map(\.key), samples, SessionFilter(includesGroups: false))
        }
    }

    /// Expects the pages of a list at any offset, and by cursor.
    private static func expectPages(
        _ list: [SessionKey], _ samples: ConversationSamples, _ filter: SessionFilter = SessionFilter()
    ) async throws {
        for limit in [1, 7, 40] {
            for offset in 0...list.count + 2 {
                let query = SessionQuery(filter, limit: limit, offset: offset)
                let page = try await samples.store.read { try $0.sessions(of: owner, query).elements.map(\.key) }
                try expectEqual(page, Array(list.dropFirst(offset).prefix(limit)), "\(limit) at \(offset)")
            }
            var found: [SessionKey] = []
            var query = SessionQuery(filter, limit: limit)
            while true {
                let page = try await samples.store.read { [query] in try $0.sessions(of: owner, query).elements }
                found += page.map(\.key)
                guard let last = page.last else { break }
                query.after = SessionCursor(last)
            }
            try expectEqual(found, list, "\(limit) by cursor")
        }
    }

    @Sendable private static func deleted(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let all = try await fill(samples)
            for session in all { _ = try await samples.store.delete(session.key) }
            // Three moments, as an expiry deletes many at one.
            try await samples.database.write { connection in
                _ = try connection.execute(
                    "UPDATE sessions SET deleted_us = 5 + (created_us % 3) WHERE user_id = \(owner)")
            }
            var query = SessionQuery(limit: 50)
            query.filter.isDeleted = true
            let whole = try await samples.store.read { [query] in try $0.sessions(of: owner, query).elements }
            try expectEqual(Set(whole.map(\.key)), Set(all.map(\.key)), "what is deleted")
            let moments = whole.compactMap(\.deletedAt)
            try expect(Set(moments).count > 1 && moments == moments.sorted(by: >), "the last deleted first")
            for limit in [1, 7, 40] {
                query.limit = limit
                query.after = nil
                var found: [SessionKey] = []
                while case let page = try await samples.store.read({ [query] in
                    try $0.sessions(of: owner, query).elements
                }), let last = page.last {
                    found += page.map(\.key)
                    query.after = SessionCursor(last)
                }
                try expectEqual(found, whole.map(\.key), "\(limit) by cursor")
            }
        }
    }

    @Sendable private static func filters(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let all = try await fill(samples)
            var tag = SessionFilter()
            tag.tag = "tag-1"
            var title = SessionFilter(includesGroups: false)
            title.title = "STRASSE"
            let filters: [(SessionFilter, (Session) -> Bool)] = [
                (SessionFilter(agentID: "agent-1"), { $0.conversation?.agentID == "agent-1" }),
                (SessionFilter(sourceChannel: "web"), { $0.settings.sourceChannel == "web" }),
                (tag, { $0.settings.tags == ["tag-1"] }),
                (title, { $0.settings.title.hasPrefix("Straße") && !($0.conversation?.isGroup ?? false) }),
            ]
            for (filter, fits) in filters {
                let expected = all.filter(fits).map(\.key)
                try expect(expected.count > 3, "something fits")
                for offset in [0, 3] {
                    // Each slice looks at one session.
                    var walk = SessionListWalk(SessionQuery(filter, limit: 5, offset: offset))
                    while !walk.isOver {
                        walk = try await samples.store.read { [walk] in try $0.go(on: walk, of: owner) { true } }
                    }
                    try expectEqual(
                        walk.page.elements.map(\.key), Array(expected.dropFirst(offset).prefix(5)), "\(filter)")
                    try expectEqual(walk.page.total, expected.count, "the total")
                }
            }
        }
    }

    @Sendable private static func counting(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let all = try await fill(samples).filter { $0.settings.tags == ["tag-1"] }.map(\.key)
            var filter = SessionFilter()
            filter.tag = "tag-1"
            for offset in [0, 3] {
                var found: [SessionKey] = []
                var query = SessionQuery(filter, limit: 2, offset: offset)
                repeat {
                    let (page, isOver) = try await samples.store.read { [query] reader in
                        let walk = try reader.go(on: SessionListWalk(query), of: owner) { true }
                        return (walk.page, walk.isOver)
                    }
                    try expect(page.total == nil || isOver, "the total of a walk that is not over")
                    found += page.elements.map(\.key)
                    query = SessionQuery(filter, limit: 2, after: page.next)
                } while query.after != nil
                try expectEqual(
                    found, Array(all.dropFirst(offset)), "by the cursor of walks that were stopped at every session")
            }
        }
    }

    @Sendable private static func exactTexts(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let texts = ["caf\u{e9}", "cafe\u{301}"]
            var sessions: [SessionKey] = []
            for text in texts {
                var draft = SessionDraft(owner: owner)
                draft.settings.sourceChannel = text
                draft.settings.tags = [text]
                sessions.append(try await samples.store.create(draft).key)
            }
            for (text, session) in zip(texts, sessions) {
                var tag = SessionFilter()
                tag.tag = text
                for filter in [tag, SessionFilter(sourceChannel: text)] {
                    let found = try await samples.store.read { try $0.sessions(of: owner, filter, limit: 9) }
                    try expectEqual(found.elements.map(\.key), [session], "sessions")
                }
            }
            _ = try await samples.store.update(sessions[0]) { $0.sourceChannel = texts[1] }
            let channels = try await samples.store.read { try $0.statistics(of: owner).channels }
            try expectEqual(channels.map { Array($0.channel?.utf8 ?? "".utf8) }, [Array(texts[1].utf8)], "channels")
            try expectEqual(channels.map(\.sessions), [2], "sessions of the channel")
        }
    }
}
