import Conversations
import NIOCore
import Persistence

/// Appending turns: once, in order, unbroken.
enum TurnConformance {
    static var cases: [ConformanceCase] {
        promises
            + promises.map { promise in
                ConformanceCase("\(promise), where sessions are in memory") { fixture in
                    try await ConversationSamples.$memory.withValue(1 << 20) { try await promise.verify(on: fixture) }
                }
            }
    }

    private static var promises: [ConformanceCase] {
        [
            ConformanceCase("a turn comes back as it went, and the session has counted it", roundTrip),
            ConformanceCase("the latest system messages are kept", systems),
            ConformanceCase("a turn id is stored once", idempotence),
            ConformanceCase("64 turns of one session at once are stored unbroken, without gaps", hotSession),
            ConformanceCase("turns of many sessions from two processes are all stored", manySessions),
            ConformanceCase("a turn supersedes what its base contained", supersession),
            ConformanceCase("a turn supersedes nothing that it did not know", conflict),
            ConformanceCase("a client's retry takes the place of its first attempt", retry),
            ConformanceCase("a repeated text is no retry", noRetry),
            ConformanceCase("bodies of 32 MB are stored as they came", bigBodies),
            ConformanceCase("a fault at any step leaves a whole turn or none", faults),
        ]
    }

    private typealias Samples = ConversationSamples

    private static func session(_ samples: ConversationSamples) async throws -> Session {
        try await samples.store.create(SessionDraft(owner: .generate()))
    }

    @Sendable private static func roundTrip(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            var turn = Samples.turn(session, ["what?", "that 🍣"])
            turn.messages[0].chapter = "one"
            turn.messages[1].citations = ByteBuffer(string: "[ 1 ]")
            turn.messages[1].tokens = nil
            turn.messages[1].digestVersion = 2
            let stored = try await samples.append(turn)
            let now = try await samples.current(session)
            try expectEqual(stored.firstSeq, session.nextSeq, "the first seq")
            try expectEqual(stored.version, now.version, "the version")
            try expectEqual(stored.superseded, .notAsked, "the supersession")
            try expectEqual(now.nextSeq, session.nextSeq + 2, "the next seq")
            try expectEqual(now.lastTurn?.id, turn.id, "the last turn")
            try expectEqual(now.counters.messages, 2, "messages")
            try expectEqual(now.counters.turns, 1, "turns")
            try expectEqual(now.counters.promptTokens, 10, "prompt tokens")
            try expectEqual(now.counters.completionTokens, 3, "completion tokens")
            let messages = try await samples.store.read { try $0.messages(of: session.key, in: 0..<100) }
            try expectEqual(messages.map(\.body), turn.messages.map(\.body), "bodies")
            try expectEqual(messages.map(\.outline.digest), turn.messages.map(\.digest), "digests")
            try expectEqual(messages.map(\.outline.digestVersion), [1, 2], "versions of the digests")
            try expectEqual(messages.map(\.outline.tokens), turn.messages.map(\.tokens), "tokens")
            try expectEqual(messages.map(\.outline.role), [.user, .assistant], "roles")
            try expectEqual(messages.map(\.outline.turnID), [turn.id, turn.id], "turn ids")
            try expectEqual(messages.map(\.chapter), ["one", nil], "chapters")
            try expectEqual(messages.map(\.citations), [nil, turn.messages[1].citations], "citations")
        }
    }

    @Sendable private static func systems(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            try expect(try await samples.store.read { try $0.system(session.key) } == nil, "none yet")
            for (text, expected) in [("one", "one"), (nil, "one"), ("two", "two"), ("two", "two")] {
                var turn = Samples.turn(session, ["a", "b"])
                turn.system = text.map { SystemMessages(body: ByteBuffer(string: $0), digest: Samples.digest($0)) }
                try await samples.append(turn)
                let system = try await samples.store.read { try $0.system(session.key) }
                try expectEqual(system?.body, ByteBuffer(string: expected), "the body")
                try expectEqual(system?.digest, Samples.digest(expected), "the digest")
            }
        }
    }

    @Sendable private static func idempotence(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            let turn = Samples.turn(session, ["a", "b"])
            let outcomes = try await withThrowingTaskGroup(of: AppendOutcome.self) { group in
                for _ in 0..<16 { group.addTask { try await samples.store.append(turn) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            try expectEqual(outcomes.filter { $0 == .alreadyStored(firstSeq: 1) }.count, 15, "repetitions")
            try expectEqual(try await samples.texts(session.key), ["a", "b"], "the messages")
            // The same id in another session is another turn.
            let other = try await self.session(samples)
            let twin = TurnDraft(
                id: turn.id, key: other.key, baseSeq: 1, requestDigest: turn.requestDigest, messages: turn.messages)
            try await samples.append(twin)
            try expectEqual(try await samples.texts(other.key), ["a", "b"], "the other session")
        }
    }

    /// Checks that all turns are there, each as neighbours, and that seqs have no gap.
    private static func verifyUnbroken(
        _ samples: ConversationSamples, _ key: SessionKey, turns: Int, file: StaticString = #fileID, line: UInt = #line
    ) async throws {
        let messages = try await samples.store.read { try $0.messages(of: key, in: 0..<Int64.max) }
        try expectEqual(messages.map(\.seq), (0..<Int64(turns * 3)).map { $0 + 1 }, "seqs", file: file, line: line)
        let triples = stride(from: 0, to: messages.count, by: 3).map { Array(messages[$0..<$0 + 3]) }
        for triple in triples {
            let name = Samples.text(triple[0]).dropLast(2)
            try expectEqual(
                triple.map(Samples.text), (0..<3).map { "\(name)-\($0)" }, "a turn", file: file, line: line)
            try expectEqual(Set(triple.map(\.outline.turnID)).count, 1, "its id", file: file, line: line)
        }
        try expectEqual(Set(triples.map { $0[0].outline.turnID }).count, turns, "turns", file: file, line: line)
    }

    @Sendable private static func hotSession(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<64 {
                    group.addTask {
                        for round in 0..<4 {
                            let name = "\(index).\(round)"
                            try await samples.append(Samples.turn(session, (0..<3).map { "\(name)-\($0)" }))
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await verifyUnbroken(samples, session.key, turns: 256)
            let now = try await samples.current(session)
            try expectEqual(now.counters.messages, 768, "messages")
            try expectEqual(now.counters.turns, 256, "turns")
            try expectEqual(now.counters.promptTokens, 2_560, "prompt tokens")
            try expectEqual(now.version, session.version + 256, "the version")
        }
    }

    @Sendable private static func manySessions(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            var sessions: [Session] = []
            for _ in 0..<16 { sessions.append(try await session(samples)) }
            let all = sessions
            try await fixture.with { database in
                let stores = [samples.store, ConversationStore(database: database)]
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in 0..<32 {
                        group.addTask {
                            for round in 0..<8 {
                                let session = all[(index + round) % 16]
                                let texts = (0..<3).map { "\(index).\(round)-\($0)" }
                                _ = try await stores[index % 2].append(Samples.turn(session, texts))
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            for session in all { try await verifyUnbroken(samples, session.key, turns: 16) }
        }
    }

    @Sendable private static func supersession(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            try await samples.append(Samples.turn(session, ["1", "2"]))
            try await samples.append(Samples.turn(session, ["3", "4"]))
            var cut = Samples.turn(try await samples.current(session), ["5", "6"])
            cut.contextStart = 5
            try await samples.append(cut)
            let before = try await samples.current(session)
            let edit = Samples.turn(before, ["3b", "4b"], supersedes: Supersession(fromSeq: 3))
            let stored = try await samples.append(edit)
            try expectEqual(stored.superseded, .done(fromSeq: 3, messages: 4), "the supersession")
            try expectEqual(try await samples.texts(session.key), ["1", "2", "3b", "4b"], "what is active")
            let now = try await samples.current(session)
            try expectEqual(now.counters.messages, 4, "active messages")
            try expectEqual(now.contextStartSeq, 3, "the beginning of the context")
            var query = MessageQuery()
            query.includesSuperseded = true
            let all = try await samples.store.read { [query] in try $0.messages(of: session.key, query) }
            try expectEqual(all.elements.map(\.supersededBySeq), [nil, nil, 7, 7, 7, 7, nil, nil], "the branch")
            // From the beginning.
            try await samples.append(Samples.turn(now, ["x", "y"], supersedes: Supersession(fromSeq: 0)))
            try expectEqual(try await samples.texts(session.key), ["x", "y"], "what is active")
        }
    }

    @Sendable private static func conflict(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            try await samples.append(Samples.turn(session, ["1", "2"]))
            let base = try await samples.current(session)
            try await samples.append(Samples.turn(base, ["new", "answer"]))
            let edit = Samples.turn(base, ["1b", "2b"], supersedes: Supersession(fromSeq: 1))
            try expectEqual(try await samples.append(edit).superseded, .appendedInstead, "the supersession")
            try expectEqual(
                try await samples.texts(session.key), ["1", "2", "new", "answer", "1b", "2b"], "the messages")
            try expectEqual(try await samples.current(session).counters.messages, 6, "active messages")
        }
    }

    @Sendable private static func retry(_ fixture: any DatabaseFixture) async throws {
        let retry = Supersession(retriesLastTurn: true)
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            try await samples.append(Samples.turn(session, ["1", "2"]))
            let base = try await samples.current(session)
            try await samples.append(Samples.turn(base, ["yes", "first"]))
            let second = try await samples.append(Samples.turn(base, ["yes", "second"], supersedes: retry))
            try expectEqual(second.superseded, .done(fromSeq: 3, messages: 2), "the second attempt")
            let third = try await samples.append(Samples.turn(base, ["yes", "third"], supersedes: retry))
            try expectEqual(third.superseded, .done(fromSeq: 5, messages: 2), "the third attempt")
            try expectEqual(try await samples.texts(session.key), ["1", "2", "yes", "third"], "the messages")
            // An edit that is repeated: what the first attempt superseded stays superseded.
            let now = try await samples.current(session)
            let edit = Supersession(fromSeq: 1)
            try await samples.append(Samples.turn(now, ["edit", "first"], supersedes: edit))
            let repeated = Supersession(fromSeq: 1, retriesLastTurn: true)
            let last = try await samples.append(Samples.turn(now, ["edit", "second"], supersedes: repeated))
            try expectEqual(last.superseded, .done(fromSeq: 1, messages: 2), "the repeated edit")
            try expectEqual(try await samples.texts(session.key), ["edit", "second"], "the messages")
            try expectEqual(try await samples.current(session).counters.messages, 2, "active messages")
        }
    }

    @Sendable private static func noRetry(_ fixture: any DatabaseFixture) async throws {
        let retry = Supersession(retriesLastTurn: true)
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            try await samples.append(Samples.turn(session, ["yes", "1"]))
            let base = try await samples.current(session)
            // Another base; then another text; then the same text without being a retry; then not the last turn.
            try await samples.append(Samples.turn(base, ["yes", "2"], supersedes: retry))
            try await samples.append(Samples.turn(base, ["no", "3"], supersedes: retry))
            try await samples.append(Samples.turn(base, ["no", "4"]))
            try await samples.append(Samples.turn(base, ["yes", "5"], supersedes: retry))
            try expectEqual(
                try await samples.texts(session.key), ["yes", "1", "yes", "2", "no", "3", "no", "4", "yes", "5"],
                "the messages")
        }
    }

    @Sendable private static func bigBodies(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            var turn = Samples.turn(session, ["a", "b"])
            turn.messages[0].body = ByteBuffer(repeating: 0x41, count: 32 << 20)
            try await samples.append(turn)
            try await samples.append(Samples.turn(session, ["c", "d"]))
            let messages = try await samples.store.read { try $0.newest(10, of: session.key) }
            try expectEqual(messages.map(\.body.readableBytes), [32 << 20, 24, 24, 24], "the lengths")
            try expect(messages[0].body == turn.messages[0].body, "the big body")
        }
    }

    @Sendable private static func faults(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let faulty = FaultyDatabase(samples.database)
            let store = ConversationStore(database: faulty)
            for failure in [DatabaseError.Failure.unavailable, .refuse, .data, .retryTransaction] {
                let session = try await session(samples)
                var expected: [String] = []
                for step in 0..<100 {
                    let last = try await samples.current(session)
                    let supersedes = Supersession(fromSeq: max(1, last.nextSeq - 2))
                    let turn = Samples.turn(last, ["q\(step)", "r\(step)"], supersedes: supersedes)
                    faulty.fail(atStep: step, with: failure)
                    do { _ = try await store.append(turn) } catch is DatabaseError {}
                    let isDone = faulty.withdraw()
                    let before = try await samples.texts(session.key)
                    let after = ["q\(step)", "r\(step)"]
                    try expect(before == expected || before == after, "step \(step): \(before)")
                    // The caller tries again, as the spool will.
                    let outcome = try await store.append(turn)
                    try expect(outcome != .sessionDeleted, "step \(step): \(outcome)")
                    try expectEqual(try await samples.texts(session.key), after, "after step \(step)")
                    try expectEqual(try await samples.current(session).counters.messages, 2, "after step \(step)")
                    expected = after
                    if isDone { break }
                    try expect(step < 99, "the steps end")
                }
            }
        }
    }
}
