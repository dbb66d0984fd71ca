import Conversations
import NIOCore
import Persistence

/// Counters of what a user has, and the limits that are checked by them.
enum LimitConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("what a user's sessions add up to is what walking them gives", sums),
            ConformanceCase("64 callers at once do not pass the limit on sessions", sessionsAtOnce),
            ConformanceCase("a deleted session comes back only where there is room", restoring),
            ConformanceCase("64 callers at once do not pass the limit on messages of a user", messagesAtOnce),
            ConformanceCase("64 callers at once do not pass the limit on messages of a session", messagesOfOne),
            ConformanceCase("64 exchanges that begin at once do not pass a limit on messages", exchanges),
            ConformanceCase("a session with its turns is stored whole or not at all", importing),
            ConformanceCase("what has expired takes no room from an import", expired),
            ConformanceCase("a channel that is left takes no row", leftChannels),
        ]
    }

    // MARK: Counters

    @Sendable private static func sums(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            var sessions: [Session] = []
            for index in 0..<6 {
                sessions.append(try await samples.store.create(draft(owner, index)))
                try await samples.append(ConversationSamples.turn(sessions[index], ["a", "b"]))
                try await expectSums(samples, owner, "session \(index)")
            }
            try await superseding(samples, sessions[0])
            try await expectSums(samples, owner, "a branch was left and restored")
            _ = try await samples.store.update(sessions[1].key) { $0.sourceChannel = "slack" }
            try await expectSums(samples, owner, "a channel was changed")
            for session in sessions[2...4] { _ = try await samples.store.delete(session.key) }
            try await expectSums(samples, owner, "three were deleted")
            _ = try await samples.store.restore(sessions[2].key)
            try await expectSums(samples, owner, "one was restored")
            _ = try await samples.store.purge(sessions[3].key)
            _ = try await samples.store.purge(sessions[5].key)
            try await expectSums(samples, owner, "a deleted and an active one were purged")
            try await samples.database.write { [sessions] connection in
                try connection.execute(
                    "UPDATE sessions SET expires_us = 1 WHERE session_id = \(sessions[0].key.session)")
            }
            try await samples.store.expire(owner)
            try await expectSums(samples, owner, "one has expired")
            _ = try await samples.store.erase(owner)
            try await expectSums(samples, owner, "all were erased")
        }
    }

    static func draft(_ owner: UniqueID, _ index: Int) -> SessionDraft {
        var conversation = AgentConversation(agentID: "agent", externalID: "c\(index)")
        conversation.isGroup = index % 2 == 0
        var draft = SessionDraft(owner: owner, conversation: conversation)
        draft.settings.sourceChannel = index % 3 == 0 ? nil : "web"
        return draft
    }

    private static func superseding(_ samples: ConversationSamples, _ session: Session) async throws {
        let now = try await samples.current(session)
        let edited = ConversationSamples.turn(now, ["c", "d", "e"], supersedes: Supersession(fromSeq: 1))
        try await samples.append(edited)
        _ = try await samples.store.restore(branch: 3, of: session.key)
    }

    /// Compares the counters with the rows.
    static func expectSums(_ samples: ConversationSamples, _ owner: UniqueID, _ when: String) async throws {
        let counted = try await samples.store.read { reader in
            (try reader.statistics(of: owner), try reader.storedMessages(of: owner))
        }
        let walked = try await samples.database.read { try WalkedSums(owner, $0) }
        let (sums, stored) = counted
        try expectEqual(
            [sums.sessions, sums.groupSessions, sums.deletedSessions, sums.messages, sums.turns, sums.promptTokens]
                + [sums.completionTokens, Int(stored)], walked.numbers, when)
        let channels = Dictionary(uniqueKeysWithValues: sums.channels.map { ($0.channel ?? "", $0.sessions) })
        try expectEqual(channels, walked.channels, "channels: \(when)")
        try expectEqual(sums.lastMessageAt, walked.last, "the last message: \(when)")
    }

    // MARK: Limits

    /// Runs 64 callers at once on two stores, which know each other by the database alone.
    ///
    /// - Returns: How many were not refused.
    private static func atOnce(
        _ fixture: any DatabaseFixture, _ samples: ConversationSamples,
        _ call: @escaping @Sendable (ConversationStore, Int) async throws -> Void
    ) async throws -> Int {
        try await fixture.with { second in
            let stores = [samples.store, ConversationStore(database: second)]
            return try await withThrowingTaskGroup(of: Bool.self) { group in
                for index in 0..<64 { group.addTask { try await passes { try await call(stores[index % 2], index) } } }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
        }
    }

    private static func passes(_ call: () async throws -> Void) async throws -> Bool {
        do {
            try await call()
            return true
        } catch ConversationError.tooManySessions, ConversationError.tooManyMessages {
            return false
        }
    }

    @Sendable private static func sessionsAtOnce(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            let made = try await atOnce(fixture, samples) { store, index in
                var draft = SessionDraft(owner: owner, externalID: "s\(index)")
                draft.maximumSessions = 10
                _ = try await store.create(draft)
            }
            try expectEqual(made, 10, "sessions that were made")
            let list = try await samples.store.read { try $0.sessions(of: owner, limit: 99) }
            try expectEqual([list.total, list.elements.count], [10, 10], "sessions that are there")
        }
    }

    @Sendable private static func restoring(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            let first = try await samples.store.create(SessionDraft(owner: owner))
            _ = try await samples.store.delete(first.key)
            let second = try await samples.store.create(SessionDraft(owner: owner))
            try expect(
                try await !passes { _ = try await samples.store.restore(first.key, maximum: 1) }, "there is no room")
            let total = try await samples.store.read { try $0.sessions(of: owner, limit: 1).total }
            try expectEqual(total, 1, "sessions after a refusal")
            _ = try await samples.store.delete(second.key)
            try expect(try await samples.store.restore(first.key, maximum: 1) != nil, "there is room")
        }
    }

    @Sendable private static func messagesAtOnce(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            var sessions: [Session] = []
            for _ in 0..<16 { sessions.append(try await samples.store.create(SessionDraft(owner: owner))) }
            let stored = try await atOnce(fixture, samples) { [sessions] store, index in
                let turn = ConversationSamples.turn(sessions[index % 16], ["m\(index)", "answer"])
                _ = try await store.append(all: [turn], within: MessageLimits(perUser: 20))
            }
            try expectEqual(stored, 10, "turns that were stored")
            try expectEqual(try await samples.store.read { try $0.storedMessages(of: owner) }, 20, "messages")
        }
    }

    @Sendable private static func messagesOfOne(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let session = try await samples.store.create(SessionDraft(owner: .generate()))
            let stored = try await atOnce(fixture, samples) { store, index in
                let turn = ConversationSamples.turn(session, ["m\(index)", "answer"])
                _ = try await store.append(all: [turn], within: MessageLimits(perSession: 21))
            }
            try expectEqual(stored, 10, "turns that were stored")
            try expectEqual(try await samples.current(session).counters.messages, 20, "messages")
        }
    }

    @Sendable private static func exchanges(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let session = try await samples.store.create(SessionDraft(owner: .generate()))
            for limits in [MessageLimits(perUser: 21), MessageLimits(perSession: 21)] {
                let holds = try await withThrowingTaskGroup(of: MessageHold?.self) { group in
                    for _ in 0..<64 {
                        group.addTask {
                            do {
                                return try await samples.store.hold(2, of: session.key, within: limits)
                            } catch ConversationError.tooManyMessages { return nil }
                        }
                    }
                    return try await group.reduce(into: []) { $0 += $1.map { [$0] } ?? [] }
                }
                try expectEqual(holds.count, 10, "exchanges that may begin")
                for hold in holds + holds { hold.release() }
            }
            try await samples.append(ConversationSamples.turn(session, (0..<20).map { "m\($0)" }))
            let limits = MessageLimits(perUser: 21)
            let begins = try await passes { _ = try await samples.store.hold(2, of: session.key, within: limits) }
            try expect(!begins, "what is stored counts")
        }
    }

    @Sendable private static func importing(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            let faulty = FaultyDatabase(samples.database)
            let store = ConversationStore(database: faulty)
            @Sendable func whole() -> SessionImport {
                var whole = SessionImport(SessionDraft(owner: owner))
                whole.turns = [["a", "b"], ["c", "d"]].map { ConversationSamples.turn(whole.draft.key, $0, base: 1) }
                whole.feedback = [
                    Feedback(seq: 3, thumb: .up, scoreHundredths: nil, comment: nil, at: Timestamp(microseconds: 7))
                ]
                return whole
            }
            for limits in [MessageLimits(perUser: 3), MessageLimits(perSession: 3)] {
                let passed = try await passes {
                    _ = try await store.create(whole(), within: limits)
                }
                try expect(!passed, "a limit")
                try await expectNothing(samples, owner, "after a refusal")
            }
            var step = 0
            while true {
                faulty.fail(atStep: step, with: .unavailable)
                let made = try? await store.create(whole())
                let isOver = faulty.withdraw()
                guard isOver else {
                    // A fault at the commit's end leaves it stored.
                    if try await samples.store.read({ try $0.storedMessages(of: owner) }) == 4 { break }
                    try await expectNothing(samples, owner, "a fault at step \(step)")
                    step += 1
                    continue
                }
                try expectEqual(made?.counters.messages, 4, "messages")
                break
            }
            try expect(step > 5, "it has steps")
        }
    }

    @Sendable private static func expired(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            for index in 0..<2 { _ = try await samples.store.create(draft(owner, index)) }
            @Sendable func check() async throws {
                try await samples.store.check(owner, adding: 1, maximum: 2, messages: 2, within: MessageLimits())
            }
            try expect(try await !passes(check), "there is no room")
            try await samples.database.write { connection in
                _ = try connection.execute("UPDATE sessions SET expires_us = 1 WHERE external_conv_id = 'c0'")
            }
            try expect(try await passes(check), "there is room")
        }
    }

    @Sendable private static func leftChannels(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            let session = try await samples.store.create(draft(owner, 1))
            for index in 0..<5 {
                _ = try await samples.store.update(session.key) { $0.sourceChannel = "channel-\(index)" }
            }
            try await expectSums(samples, owner, "the channel was changed")
            let rows = try await samples.database.read { connection in
                try connection.first("SELECT COUNT(*) FROM channel_totals WHERE user_id = \(owner)") {
                    try $0.integer(0)
                }
            }
            try expectEqual(rows, 1, "rows")
        }
    }

    private static func expectNothing(_ samples: ConversationSamples, _ owner: UniqueID, _ when: String) async throws {
        let found = try await samples.store.read { reader in
            try [Int(reader.storedMessages(of: owner)), reader.sessions(of: owner, limit: 9).total]
        }
        let walked = try await samples.database.read { try WalkedSums(owner, $0) }
        try expectEqual(found + walked.numbers, Array(repeating: 0, count: 10), when)
    }
}

/// The same sums by a walk along the rows.
private struct WalkedSums {
    /// Sessions, groups, deleted ones, messages, turns, tokens of both kinds, messages that take room.
    var numbers = Array(repeating: 0, count: 8)
    var channels: [String: Int] = [:]
    var last: Timestamp?

    init(_ owner: UniqueID, _ connection: any Connection) throws {
        let columns = "is_group, deleted_us, message_count, turn_count, prompt_tokens, completion_tokens, next_seq"
        let query: SQL = """
            SELECT \(raw: columns), source_channel, last_message_at FROM sessions WHERE user_id = \(owner)
            """
        try connection.forEach(query) { row in
            numbers[7] += try row.value(6, as: Int.self) - 1
            guard try row.optional(1, as: Int64.self) == nil else {
                numbers[2] += 1
                return .next
            }
            numbers[0] += 1
            numbers[1] += try row.value(0, as: Int.self)
            for column in 3...6 { numbers[column] += try row.value(column - 1, as: Int.self) }
            channels[try row.optional(7) ?? "", default: 0] += 1
            let time: Timestamp = try row.value(8)
            last = max(last ?? time, time)
            return .next
        }
    }
}
