import Conversations
import Persistence

/// Counters that others have left wrong, counted anew.
enum RecountConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("counters that are wrong are right when they were counted anew", wrong),
            ConformanceCase("what is left of a purge does not count", condemned),
            ConformanceCase("counters are right after counting while 32 callers store", meanwhile),
        ]
    }

    private static func fill(_ samples: ConversationSamples, _ owner: UniqueID) async throws -> [Session] {
        var sessions: [Session] = []
        for index in 0..<6 {
            sessions.append(try await samples.store.create(LimitConformance.draft(owner, index)))
            try await samples.append(ConversationSamples.turn(sessions[index], ["a", "b"]))
        }
        _ = try await samples.store.delete(sessions[5].key)
        return sessions
    }

    @Sendable private static func wrong(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owners = [UniqueID.generate(), .generate(), .generate()]
            for owner in owners { _ = try await fill(samples, owner) }
            try await samples.database.write { connection in
                // As a former release leaves them: it removes rows, and forgets a user's total.
                try connection.execute("UPDATE session_sums SET stored = stored + 7, deleted = deleted - 3, turns = 0")
                try connection.execute("UPDATE channel_totals SET active = active - 9")
                try connection.execute("INSERT INTO channel_totals VALUES (\(owners[0]), 'gone', 4)")
                try connection.execute("UPDATE session_totals SET active_groups = 99")
                try connection.execute("DELETE FROM sessions WHERE user_id = \(owners[2])")
                try connection.execute("DELETE FROM session_totals WHERE user_id = \(owners[2])")
            }
            try expectEqual(try await samples.store.recount(), 3, "users")
            for (index, owner) in owners.enumerated() {
                try await LimitConformance.expectSums(samples, owner, "user \(index)")
            }
            _ = try await samples.store.create(LimitConformance.draft(owners[2], 1))
            try await LimitConformance.expectSums(samples, owners[2], "a session was made afterwards")
        }
    }

    @Sendable private static func condemned(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            let sessions = try await fill(samples, owner)
            try await samples.database.write { connection in
                _ = try connection.execute(
                    "UPDATE sessions SET deleted_us = 0 WHERE session_id = \(sessions[0].key.session)")
            }
            _ = try await samples.store.recount()
            let sums = try await samples.store.read { try $0.statistics(of: owner) }
            try expectEqual([sums.sessions, sums.deletedSessions, sums.messages], [4, 1, 8], "what is counted")
            try expectEqual(try await samples.store.read { try $0.storedMessages(of: owner) }, 10, "messages")
        }
    }

    @Sendable private static func meanwhile(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            let sessions = try await fill(samples, owner)
            try await fixture.with { second in
                let other = ConversationStore(database: second)
                try await withThrowingTaskGroup { group in
                    for index in 0..<32 {
                        group.addTask {
                            let turn = ConversationSamples.turn(sessions[index % 5], ["m\(index)", "answer"])
                            _ = try await samples.store.append(turn)
                            _ = try await other.create(LimitConformance.draft(owner, 100 + index))
                        }
                    }
                    for _ in 0..<4 { group.addTask { _ = try await other.recount() } }
                    try await group.waitForAll()
                }
            }
            try await LimitConformance.expectSums(samples, owner, "after all of it")
        }
    }
}
