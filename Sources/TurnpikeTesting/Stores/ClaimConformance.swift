import Conversations
import NIOCore
import Persistence

/// A turn whose session is in memory is stored without asking, and by the same rules as every other.
enum ClaimConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("of sessions in memory nothing is asked when their turns are stored", unasked),
            ConformanceCase("a turn that takes more than its session's row to be placed asks for it", asked),
            ConformanceCase("whatever another process changed is seen by a turn that goes by memory", changes),
            ConformanceCase("a turn that goes by memory is stored once though its commit got no answer", lostCommits),
            ConformanceCase("a fault at any step leaves a turn that goes by memory whole or not at all", faults),
            ConformanceCase("two processes store turns in the same sessions, and both remember them", twoProcesses),
        ]
    }

    private typealias Samples = ConversationSamples

    /// A process that remembers, what its database was asked, and another process.
    private struct Site {
        let watched: WatchedDatabase
        let faulty: FaultyDatabase
        let store: ConversationStore
        let other: ConversationSamples
        /// How often a batch asks whose sessions are in memory: SQLite is in the process.
        var fewestQueries: Int { other.database.dialect == .mariadb ? 0 : 1 }

        /// What the database is asked while a turn is stored.
        func queries(of turn: TurnDraft) async throws -> (count: Int, outcome: AppendOutcome) {
            let before = watched.queries
            let outcome = try await store.append(turn)
            return (watched.queries - before, outcome)
        }

        func session(_ settings: SessionSettings = SessionSettings()) async throws -> Session {
            var draft = SessionDraft(owner: .generate())
            draft.settings = settings
            return try await store.create(draft)
        }
    }

    private static func with(_ fixture: any DatabaseFixture, _ body: (Site) async throws -> Void) async throws {
        try await Samples.with(fixture) { samples in
            try await fixture.with { second in
                let faulty = FaultyDatabase(second)
                let watched = WatchedDatabase(faulty)
                let store = ConversationStore(database: watched, durability: nil, cacheLimit: 1 << 20)
                try await body(Site(watched: watched, faulty: faulty, store: store, other: samples))
            }
        }
    }

    @Sendable private static func unasked(_ fixture: any DatabaseFixture) async throws {
        try await with(fixture) { site in
            let session = try await site.session()
            var now = session
            for round in 0..<4 {
                var turn = Samples.turn(now, ["q\(round)", "a\(round)"])
                turn.model = "model"
                turn.provider = "provider"
                turn.title = "title \(round)"
                if round == 2 { turn.contextStart = 3 }
                if round == 3 { turn.system = SystemMessages(body: .init(string: "[]"), digest: Samples.digest("s")) }
                let (queries, outcome) = try await site.queries(of: turn)
                try expectEqual(queries, site.fewestQueries, "queries of turn \(round)")
                now = try await site.other.current(session)
                try expectStored(outcome, at: Int64(2 * round + 1), now.version, "turn \(round)")
                try expectEqual(now.lastTurn?.id, turn.id, "the newest turn")
            }
            try expectEqual(now.counters.messages, 8, "messages")
            try expectEqual(now.counters.turns, 4, "turns")
            try expectEqual(now.counters.promptTokens, 40, "prompt tokens")
            try expectEqual(now.version, session.version + 4, "the version")
            try expectEqual(now.contextStartSeq, 3, "the beginning of the context")
            try expectEqual(now.systemDigest, Samples.digest("s"), "the system messages")
            try expectEqual(
                [now.settings.title, now.settings.model, now.settings.provider], ["title 0", "model", "provider"],
                "what the first turn says")
            try await LimitConformance.expectSums(site.other, session.key.owner, "after four turns")
        }
    }

    @Sendable private static func asked(_ fixture: any DatabaseFixture) async throws {
        try await with(fixture) { site in
            let session = try await site.session()
            var first = Samples.turn(session, ["q", "a"])
            first.idempotencyKey = Samples.digest("key")
            _ = try await site.store.append(first)
            // The same request again, planned on what came of it.
            var again = Samples.turn(try await site.other.current(session), ["q", "b"])
            again.idempotencyKey = first.idempotencyKey
            try expectEqual(try await site.queries(of: again).count, 1, "queries of a repetition")
            try expectEqual(try await site.other.texts(session.key), ["q", "b"], "it takes the place")
            let late = Samples.turn(session, ["late", "one"])
            try expectEqual(try await site.queries(of: late).count, 1, "queries of a turn that something came before")
            let now = try await site.other.current(session)
            let edit = Samples.turn(now, ["x", "y"], supersedes: Supersession(fromSeq: 1))
            try expectEqual(try await site.queries(of: edit).count, 1, "queries of an edit")
            try expectEqual(try await site.other.texts(session.key), ["x", "y"], "what is left")
            try expectEqual(try await site.other.current(session).counters.messages, 2, "messages")
            try await LimitConformance.expectSums(site.other, session.key.owner, "after four turns")
        }
    }

    private static func expectStored(
        _ outcome: AppendOutcome, at firstSeq: Int64, _ version: Int64, _ what: String
    ) throws {
        guard case .stored(let turn) = outcome else { throw ConformanceFailure(description: "\(what): \(outcome)") }
        try expectEqual(turn.firstSeq, firstSeq, "\(what): the first seq")
        try expectEqual(turn.messageCount, 2, "\(what): messages")
        try expectEqual(turn.version, version, "\(what): the version")
        try expectEqual(turn.superseded, .notAsked, "\(what): what is superseded")
    }

    // MARK: Others

    /// What is done to a session behind the back of a process that has it in memory.
    private struct Change: Sendable {
        let text: String
        var removes = false
        let make: @Sendable (ConversationSamples, Session) async throws -> Void

        /// By the API of another process.
        init(
            _ text: String, removes: Bool = false,
            _ make: @escaping @Sendable (ConversationSamples, Session) async throws -> Void
        ) {
            (self.text, self.removes, self.make) = (text, removes, make)
        }

        /// A column that says something else, and nothing else does.
        init(setting change: String, removes: Bool = false) {
            self.init(change, removes: removes) { samples, session in
                try await samples.database.write { connection in
                    let update: SQL = "UPDATE sessions SET \(raw: change) WHERE session_id = \(session.key.session)"
                    try expectEqual(try connection.execute(update), 1, change)
                }
            }
        }
    }

    private static let others: [Change] = [
        Change("a turn") { try await $0.append(Samples.turn(try await $0.current($1), ["c", "d"])) },
        Change("a branch") { samples, session in
            let now = try await samples.current(session)
            try await samples.append(Samples.turn(now, ["c", "d"], supersedes: Supersession(fromSeq: 1)))
        },
        Change("a setting") { _ = try await $0.store.update($1.key) { $0.maxHistory = 3 } },
        Change("a deletion", removes: true) { _ = try await $0.store.delete($1.key) },
        Change("a deletion that was taken back") { samples, session in
            _ = try await samples.store.delete(session.key)
            _ = try await samples.store.restore(session.key)
        },
        Change("an expiry", removes: true) { samples, session in
            try await Change(setting: "expires_us = 1").make(samples, session)
            try await samples.store.expire(session.key.owner)
        },
        Change("a purge", removes: true) { _ = try await $0.store.purge($1.key) },
        Change(setting: "deleted_us = 5", removes: true),
        Change(setting: "version = version + 1"),
        Change(setting: "next_seq = next_seq + 2"),
        Change(setting: "context_start_seq = 2"),
        Change(setting: "message_count = message_count + 1"),
        Change(setting: "last_turn_id = session_id"),
    ]

    @Sendable private static func changes(_ fixture: any DatabaseFixture) async throws {
        try await with(fixture) { site in
            for change in others {
                let session = try await site.session()
                _ = try await site.store.append(Samples.turn(session, ["a", "b"]))
                let known = try await site.other.current(session)
                // Another session of the same batch, perhaps.
                let neighbour = try await site.session()
                try await change.make(site.other, known)
                let before = try? await site.other.current(session)
                async let beside = site.store.append(Samples.turn(neighbour, ["n", "m"]))
                let (queries, outcome) = try await site.queries(of: Samples.turn(known, ["e", "f"]))
                guard case .stored = try await beside else { throw ConformanceFailure(description: "a neighbour") }
                try expect(queries > 0, "\(change.text): it was asked for")
                try expectEqual(before == nil, change.removes, change.text)
                guard let before else {
                    try expectEqual(outcome, .sessionDeleted, change.text)
                    let texts = try await site.other.texts(session.key)
                    try expect(!texts.contains("e"), "\(change.text): nothing is stored")
                    continue
                }
                try expectStored(outcome, at: before.nextSeq, before.version + 1, change.text)
                let now = try await site.other.current(session)
                try expectEqual(now.nextSeq, before.nextSeq + 2, "\(change.text): the next seq")
                try expectEqual(now.counters.messages, before.counters.messages + 2, "\(change.text): messages")
                try expectEqual(now.contextStartSeq, before.contextStartSeq, "\(change.text): the context")
                try expectEqual(
                    try await site.other.texts(session.key).suffix(2), ["e", "f"], "\(change.text): the newest")
                try expectEqual(try await site.other.texts(neighbour.key), ["n", "m"], "\(change.text): beside")
            }
        }
    }

    // MARK: Faults

    @Sendable private static func lostCommits(_ fixture: any DatabaseFixture) async throws {
        try await with(fixture) { site in
            let session = try await site.session()
            for commit in [FaultyDatabase.LostCommit.happened, .lost] {
                let before = try await site.other.current(session)
                let turn = Samples.turn(before, ["q", "a"])
                site.faulty.failNextCommit(commit)
                let outcome = try await site.store.append(turn)
                switch commit {
                case .happened: try expectEqual(outcome, .alreadyStored(firstSeq: before.nextSeq), "it is found")
                case .lost:
                    guard case .stored = outcome else { throw ConformanceFailure(description: "\(outcome)") }
                }
                // Whatever memory makes of that.
                let next = Samples.turn(try await site.other.current(session), ["next", "one"])
                guard case .stored = try await site.store.append(next) else {
                    throw ConformanceFailure(description: "the next turn")
                }
                try expectEqual(
                    try await site.store.append(turn), .alreadyStored(firstSeq: before.nextSeq), "repeated later")
            }
            try expectEqual(
                try await site.other.texts(session.key), ["q", "a", "next", "one", "q", "a", "next", "one"], "texts")
            try await LimitConformance.expectSums(site.other, session.key.owner, "after four turns")
        }
    }

    @Sendable private static func faults(_ fixture: any DatabaseFixture) async throws {
        try await with(fixture) { site in
            for failure in [DatabaseError.Failure.unavailable, .refuse, .data, .retryTransaction] {
                let session = try await site.session()
                var expected: [String] = []
                for step in 0..<100 {
                    let turn = Samples.turn(try await site.other.current(session), ["q\(step)", "r\(step)"])
                    site.faulty.fail(atStep: step, with: failure)
                    do { _ = try await site.store.append(turn) } catch is DatabaseError {}
                    let isDone = site.faulty.withdraw()
                    let found = try await site.other.texts(session.key)
                    let after = expected + ["q\(step)", "r\(step)"]
                    try expect(found == expected || found == after, "step \(step): \(found)")
                    // The caller tries again, as the spool will.
                    _ = try await site.store.append(turn)
                    try expectEqual(try await site.other.texts(session.key), after, "after step \(step)")
                    expected = after
                    if isDone { break }
                    try expect(step < 99, "the steps end")
                }
                try await LimitConformance.expectSums(site.other, session.key.owner, "after \(failure)")
            }
        }
    }

    // MARK: At once

    @Sendable private static func twoProcesses(_ fixture: any DatabaseFixture) async throws {
        try await with(fixture) { site in
            let second = ConversationStore(database: site.other.database, durability: nil, cacheLimit: 1 << 20)
            var sessions: [Session] = []
            for _ in 0..<8 { sessions.append(try await site.session()) }
            try await withThrowingTaskGroup { group in
                for index in 0..<32 {
                    let (session, store) = (sessions[index % 8], index % 3 == 0 ? second : site.store)
                    group.addTask {
                        for round in 0..<8 {
                            guard let now = try await MemoryConformance.visit(store, session) else { return }
                            let turn = Samples.turn(now, ["\(index).\(round)", "\(index).\(round) answered"])
                            guard case .stored = try await store.append(turn) else {
                                throw ConformanceFailure(description: "turn \(round) of \(index)")
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            for session in sessions { try await verify(session, site.other) }
        }
    }

    /// 32 turns, each unbroken and once, those of one task in order, and counted.
    private static func verify(_ session: Session, _ samples: ConversationSamples) async throws {
        let texts = try await samples.texts(session.key)
        let questions = stride(from: 0, to: texts.count, by: 2).map { texts[$0] }
        try expectEqual(texts, questions.flatMap { [$0, "\($0) answered"] }, "turns are unbroken")
        try expectEqual(Set(questions).count, 32, "turns")
        for (_, rounds) in Dictionary(grouping: questions, by: { $0.prefix { $0 != "." } }) {
            try expectEqual(rounds, rounds.sorted(), "the order of one task's turns")
        }
        let now = try await samples.current(session)
        try expectEqual(now.nextSeq, 65, "the next seq")
        try expectEqual(now.version, session.version + 32, "the version")
        try expectEqual(now.counters.messages, 64, "messages")
        try await LimitConformance.expectSums(samples, session.key.owner, "after 32 turns")
    }
}
