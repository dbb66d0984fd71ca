import Conversations
import NIOCore
import Persistence

/// Branches that were left, and how one becomes the conversation again; and attempts that their retries overtook.
enum BranchConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("branches that were left are listed", listing),
            ConformanceCase("a branch is restored with all that preceded it, and nothing is lost", restoring),
            ConformanceCase("a branch that does not exist is not restored", unknown),
            ConformanceCase("a cancelled attempt that comes behind its retry is kept beside it", overtaken),
            ConformanceCase(
                "attempts under one key are one turn, whatever comes between and whichever is stored first", oneKey),
            ConformanceCase("of two attempts under one key the one that was cancelled gives way", oneKeyElsewhere),
            ConformanceCase("the history's beginning moves with the turn that cut it", contextStart),
        ]
    }

    private typealias Samples = ConversationSamples

    /// A session that was edited at its second question, then at its first: `a b | c d` → `a b e f` → `g h`.
    private static func edited(_ samples: ConversationSamples) async throws -> Session {
        let session = try await samples.store.create(SessionDraft(owner: .generate()))
        try await samples.append(Samples.turn(session, ["a", "b"]))
        try await append(["c", "d"], from: nil, session, samples)
        try await append(["e", "f"], from: session.nextSeq + 2, session, samples)
        try await append(["g", "h"], from: session.nextSeq, session, samples)
        return session
    }

    private static func append(_ texts: [String], from seq: Int64?, _ session: Session, _ samples: ConversationSamples)
        async throws
    {
        let now = try await samples.current(session)
        try await samples.append(Samples.turn(now, texts, supersedes: Supersession(fromSeq: seq)))
    }

    @Sendable private static func listing(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await edited(samples)
            let first = session.nextSeq
            let page = try await samples.store.read { try $0.branches(of: session.key, limit: 10) }
            try expectEqual(page.total, 2, "branches")
            try expectEqual(page.elements.map(\.id), [first + 6, first + 4], "the last one first")
            try expectEqual(page.elements.map(\.messageCount), [4, 2], "messages")
            try expectEqual(page.elements.map(\.forkSeq), [nil, first + 1], "forks")
            try expectEqual(page.elements.map(\.firstSeq), [first, first + 2], "first messages")
            try expect(page.elements.allSatisfy { $0.leftAt != nil }, "when they were left")
            let pages: [(limit: Int, offset: Int, texts: [String])] = [
                (10, 0, ["a", "b", "e", "f"]), (2, 1, ["b", "e"]), (10, 3, ["f"]), (10, 4, []),
            ]
            for (limit, offset, texts) in pages {
                let messages = try await samples.store.read {
                    try $0.messages(ofBranch: page.elements[0].id, session.key, limit: limit, offset: offset)
                }
                try expectEqual(messages?.map(Samples.text), texts, "\(limit) messages of a branch at \(offset)")
            }
            let none = try await samples.store.read { try $0.messages(ofBranch: 1, session.key, limit: 10) }
            try expect(none == nil, "a branch that does not exist")
        }
    }

    @Sendable private static func restoring(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await edited(samples)
            let first = session.nextSeq
            _ = try await samples.store.restore(branch: first + 4, of: session.key)
            try expectEqual(try await samples.texts(session.key), ["a", "b", "c", "d"], "the oldest branch")
            let now = try await samples.current(session)
            try expectEqual(now.counters.messages, 4, "the counter")
            try expectEqual(now.lastTurn?.requestDigest, Samples.digest("c"), "the newest turn")
            _ = try await samples.store.restore(branch: first + 6, of: session.key)
            try expectEqual(try await samples.texts(session.key), ["a", "b", "e", "f"], "the branch after it")
            let page = try await samples.store.read { try $0.branches(of: session.key, limit: 10) }
            try expectEqual(page.total, 4, "branches: every one that was left")
            try await append(["i", "j"], from: nil, session, samples)
            try expectEqual(try await samples.texts(session.key), ["a", "b", "e", "f", "i", "j"], "it goes on")
            _ = try await samples.store.restore(branch: first + 8, of: session.key)
            try expectEqual(try await samples.texts(session.key), ["g", "h"], "what it was before the restoration")
        }
    }

    @Sendable private static func unknown(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await edited(samples)
            let store = samples.store
            try expectEqual(try await store.restore(branch: 1, of: session.key), .noSuchBranch, "a branch of nothing")
            let stranger = SessionKey(owner: .generate(), session: session.key.session)
            try expectEqual(
                try await store.restore(branch: session.nextSeq + 4, of: stranger), .noSuchSession, "a stranger")
            try expectEqual(try await samples.texts(session.key), ["g", "h"], "the conversation")
        }
    }

    @Sendable private static func overtaken(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await samples.store.create(SessionDraft(owner: .generate()))
            var retry = Samples.turn(session, ["why?", "because"])
            retry.attempt = 1
            retry.supersedes.retriesLastTurn = true
            let stored = try await samples.append(retry)
            try await append(["and?", "so"], from: nil, session, samples)
            var late = Samples.turn(session, ["why?", "bec"])
            late.status = .cancelled
            let beside = try await samples.append(late)
            try expectEqual(beside.superseded, .overtaken(byRetryAt: stored.firstSeq), "the late attempt")
            try expectEqual(
                try await samples.texts(session.key), ["why?", "because", "and?", "so"], "the conversation")
            let now = try await samples.current(session)
            try expectEqual(now.counters.messages, 4, "the counter")
            try expectEqual(now.lastTurn?.requestDigest, Samples.digest("and?"), "the newest turn")
            late.status = .complete
            let another = TurnDraft(
                key: late.key, baseSeq: late.baseSeq, requestDigest: late.requestDigest, messages: late.messages)
            try expectEqual(try await samples.append(another).superseded, .notAsked, "an answer that a client has seen")
        }
    }

    @Sendable private static func oneKey(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            for (order, isOneBatch) in [([0, 1], false), ([1, 0], false), ([0, 1], true), ([1, 0], true)] {
                let session = try await samples.store.create(SessionDraft(owner: .generate()))
                var first = Samples.turn(session, ["why?", "first"])
                try await append(["and?", "so"], from: nil, session, samples)
                var second = Samples.turn(try await samples.current(session), ["why?", "second"])
                (first.idempotencyKey, second.idempotencyKey) = (Samples.digest("k"), Samples.digest("k"))
                second.attempt = 1
                let turns = order.map { [first, second][$0] }
                for batch in isOneBatch ? [turns] : turns.map({ [$0] }) {
                    _ = try await samples.store.append(all: batch)
                }
                try expectEqual(
                    try await samples.texts(session.key), ["and?", "so", "why?", "second"], "the later attempt")
                var another = Samples.turn(try await samples.current(session), ["why?", "other"])
                another.idempotencyKey = Samples.digest("l")
                try await samples.append(another)
                try expectEqual(try await samples.texts(session.key).count, 6, "messages, with those of another key")
            }
        }
    }

    /// Neither is known to repeat the other, as each came to another process.
    @Sendable private static func oneKeyElsewhere(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            for order in [[0, 1], [1, 0]] {
                let session = try await samples.store.create(SessionDraft(owner: .generate()))
                var (left, whole) = (Samples.turn(session, ["why?", "wh"]), Samples.turn(session, ["why?", "whole"]))
                (left.idempotencyKey, whole.idempotencyKey) = (Samples.digest("k"), Samples.digest("k"))
                left.status = .cancelled
                for index in order { try await samples.append([left, whole][index]) }
                try expectEqual(try await samples.texts(session.key), ["why?", "whole"], "what nobody left")
                try expectEqual(try await samples.current(session).counters.messages, 2, "the counter")
            }
        }
    }

    @Sendable private static func contextStart(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await samples.store.create(SessionDraft(owner: .generate()))
            let moves: [(start: Int64?, isLate: Bool, expected: Int64)] = [
                (nil, false, 0), (5, false, 5), (3, true, 5), (nil, false, 5), (3, false, 3), (4, true, 4),
            ]
            for (index, (start, isLate, expected)) in moves.enumerated() {
                var turn = Samples.turn(try await samples.current(session), ["q", "a"])
                if isLate { turn.baseSeq -= 2 }
                turn.contextStart = start
                turn.idempotencyKey = Samples.digest("key \(index)")
                try await samples.append(turn)
                let now = try await samples.current(session)
                try expectEqual(now.contextStartSeq, expected, "the beginning")
                try expectEqual(now.lastTurn?.idempotencyKey, turn.idempotencyKey, "the key of the newest turn")
            }
        }
    }
}
