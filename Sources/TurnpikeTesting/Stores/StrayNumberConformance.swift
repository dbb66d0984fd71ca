import Conversations
import NIOCore
import Persistence

/// Rows with numbers that no release writes: somebody has written them by hand, or a disk has.
enum StrayNumberConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase(
                "a session's number that nobody could have stored is an error, and that session's alone", sessions),
            ConformanceCase("a message's number that nobody could have stored is an error", messages),
            ConformanceCase(
                "a user's counters that nobody could have counted are an error until they are counted anew", sums),
        ]
    }

    private static let owner = UniqueID.generate()
    private static let extremes: [Int64] = [.min, -1, .max]

    @Sendable private static func sessions(_ fixture: any DatabaseFixture) async throws {
        let columns = [
            "next_seq", "context_start_seq", "version", "message_count", "turn_count", "prompt_tokens",
            "completion_tokens", "max_history", "ttl_seconds", "last_turn_seq", "last_turn_base",
        ]
        try await ConversationSamples.with(fixture) { samples in
            let other = try await samples.store.create(SessionDraft(owner: owner))
            // The newest turn would begin behind its own end.
            let behind: (String, Int64) = ("last_turn_seq", 4)
            let strays = columns.flatMap { column in extremes.map { (column, $0) } } + [behind]
            for (column, number) in strays {
                let made = try await samples.store.create(SessionDraft(owner: owner))
                try await samples.append(ConversationSamples.turn(made, ["question", "answer"]))
                let session = try await samples.current(made)
                let what = "\(column) = \(number)"
                try await samples.database.write { connection in
                    _ = try connection.execute(
                        """
                        UPDATE sessions SET \(raw: column) = \(number) \
                        WHERE user_id = \(owner) AND session_id = \(made.key.session)
                        """)
                }
                try await expectFailure([.data], "reading, \(what)") { try await samples.current(made) }
                let neighbour = try await samples.current(other)
                async let isRefused: Void = expectFailure([.data], "a turn, \(what)") {
                    // Appending does not look at how much history is wanted.
                    if column == "max_history" { throw DatabaseError(.data, "") }
                    return try await samples.append(ConversationSamples.turn(session, ["question", "answer"]))
                }
                try await samples.append(ConversationSamples.turn(neighbour, ["question", "answer"]))
                try await isRefused
                try expectEqual(
                    try await samples.current(other).nextSeq, neighbour.nextSeq + 2, "another session, \(what)")
                // The version is counted on by the database, and MariaDB refuses to where there is no next one.
                if column == "version", number == .max { continue }
                try expectEqual(try await samples.store.delete(made.key), .deleted, "deleting it, \(what)")
                try expectEqual(try await samples.store.purge(made.key), .deleted, "removing it, \(what)")
            }
        }
    }

    @Sendable private static func messages(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            for number in extremes + [1 << 53] {
                let made = try await samples.store.create(SessionDraft(owner: owner))
                try await samples.append(ConversationSamples.turn(made, ["question", "answer"]))
                try await samples.database.write { connection in
                    _ = try connection.execute(
                        "UPDATE messages SET tokens = \(number) WHERE session_id = \(made.key.session) AND seq = 1")
                }
                try await expectFailure([.data], "tokens = \(number)") {
                    try await samples.store.read { _ = try $0.newestRun(20, of: made.key, from: 0) }
                }
            }
        }
    }

    @Sendable private static func sums(_ fixture: any DatabaseFixture) async throws {
        try await ConversationSamples.with(fixture) { samples in
            for number in [Int64.min, .max] {
                let made = try await samples.store.create(SessionDraft(owner: owner))
                try await samples.append(ConversationSamples.turn(made, ["question", "answer"]))
                try await samples.database.write { connection in
                    _ = try connection.execute("UPDATE session_sums SET stored = \(number) WHERE user_id = \(owner)")
                }
                try await expectFailure([.data], "stored = \(number)") {
                    try await samples.store.read { try $0.storedMessages(of: owner) }
                }
                _ = try await samples.store.recount()
                try expect(try await samples.store.read { try $0.storedMessages(of: owner) } >= 2, "counted anew")
            }
        }
    }
}
