import Conversations
import Persistence

/// Reading messages.
enum HistoryConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("the newest messages are cut between turns", newest),
            ConformanceCase("outlines come in both orders and within bounds", outlines),
            ConformanceCase("messages come by their seqs, superseded ones too", bySeqs),
            ConformanceCase("messages come in pages with a total", pages),
        ]
    }

    private typealias Samples = ConversationSamples

    /// A session with turns of 2, 3, 1 and 4 messages: seqs 1-2, 3-5, 6, 7-10.
    private static func session(_ samples: ConversationSamples) async throws -> Session {
        let session = try await samples.store.create(SessionDraft(owner: .generate()))
        var next = 1
        for count in [2, 3, 1, 4] {
            try await samples.append(Samples.turn(session, (next..<next + count).map { "\($0)" }))
            next += count
        }
        return try await samples.current(session)
    }

    @Sendable private static func newest(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            let expected: [Int: Int64] = [
                1: 7, 2: 7, 3: 7, 4: 7, 5: 6, 6: 6, 7: 6, 8: 3, 9: 3, 10: 1, 11: 1, 1_000: 1,
            ]
            for (limit, first) in expected {
                let messages = try await samples.store.read { try $0.newest(limit, of: session.key) }
                try expectEqual(messages.map(\.seq), Array(first...10), "the newest \(limit)")
                try expectEqual(messages.map(Samples.text), messages.map { "\($0.seq)" }, "bodies")
            }
            try expectEqual(try await samples.store.read { try $0.newest(0, of: session.key).count }, 0, "none")
            let started = try await samples.store.read { try $0.newest(100, of: session.key, from: 6) }
            try expectEqual(started.map(\.seq), Array(6...10), "from a seq on")
            // Superseded turns do not count.
            try await samples.append(Samples.turn(session, ["a", "b"], supersedes: Supersession(fromSeq: 6)))
            let active = try await samples.store.read { try $0.newest(5, of: session.key) }
            try expectEqual(active.map(\.seq), [3, 4, 5, 11, 12], "after a supersession")
        }
    }

    @Sendable private static func outlines(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            try await samples.append(Samples.turn(session, ["a", "b"], supersedes: Supersession(fromSeq: 7)))
            let oldest = try await samples.store.read { try $0.outlines(of: session.key) }
            try expectEqual(oldest.map(\.seq), [1, 2, 3, 4, 5, 6, 11, 12], "oldest first")
            try expectEqual(oldest[1].digest, Samples.digest("2"), "a digest")
            try expectEqual(oldest[0].turnID, oldest[1].turnID, "a turn")
            let newest = try await samples.store.read { try $0.outlines(of: session.key, order: .newestFirst) }
            try expectEqual(newest, oldest.reversed(), "newest first")
            let some = try await samples.store.read { try $0.outlines(of: session.key, in: 3..<6) }
            try expectEqual(some.map(\.seq), [3, 4, 5], "within bounds")
        }
    }

    @Sendable private static func bySeqs(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            try await samples.append(Samples.turn(session, ["a", "b"], supersedes: Supersession(fromSeq: 7)))
            let some = try await samples.store.read { try $0.messages(of: session.key, seqs: [9, 2, 99, 2, 12]) }
            try expectEqual(some.map(\.seq), [2, 9, 12], "the messages")
            try expectEqual(some.map(\.supersededBySeq), [nil, 11, nil], "which are superseded")
            let many = try await samples.store.read { try $0.messages(of: session.key, seqs: Array(0..<600)) }
            try expectEqual(many.map(\.seq), Array(1...12), "many")
            let range = try await samples.store.read { try $0.messages(of: session.key, in: 5..<12) }
            try expectEqual(range.map(\.seq), [5, 6, 11], "a range has the active ones")
        }
    }

    @Sendable private static func pages(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            var query = MessageQuery(limit: 3, offset: 4)
            let page = try await samples.store.read { [query] in try $0.messages(of: session.key, query) }
            try expectEqual(page.elements.map(\.seq), [5, 6, 7], "a page")
            try expectEqual(page.total, 10, "the total")
            query.order = .newestFirst
            let newest = try await samples.store.read { [query] in try $0.messages(of: session.key, query) }
            try expectEqual(newest.elements.map(\.seq), [6, 5, 4], "a page, newest first")
            var turn = Samples.turn(session, ["in", "chapter"])
            turn.messages[0].chapter = "two"
            try await samples.append(turn)
            var chapter = MessageQuery()
            chapter.chapter = "two"
            let found = try await samples.store.read { [chapter] in try $0.messages(of: session.key, chapter) }
            try expectEqual(found.elements.map(\.seq), [11], "a chapter")
            try expectEqual(found.total, 1, "its total")
        }
    }
}
