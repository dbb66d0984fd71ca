import Conversations
import NIOCore
import Persistence

/// Large inline media: stored once per user, given back to the byte, gone with the last session that holds them.
enum MediaConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("inline media come back to the byte, from every way of reading", roundTrip),
            ConformanceCase("media are stored once per user", once),
            ConformanceCase("media go with the last session that holds them", purging),
            ConformanceCase("sessions that are made while their user is erased are erased or whole", erasingMeanwhile),
        ]
    }

    private typealias Samples = ConversationSamples

    private static let image = String(repeating: "iVBORw0KGgo/+Zz9", count: 4_096)

    /// A message with two images, one of them with its slashes escaped, and the text of a reference.
    private static func picture(_ image: String = image) -> NewMessage {
        let escaped = image.split(separator: "/", omittingEmptySubsequences: false).joined(separator: #"\/"#)
        let json =
            #"{"role":"user","content":[{"type":"text","text":"blobs: 0 1 2"},"#
            + #"{"type":"image_url","image_url":{"url":"data:image/png;base64,\#(image)","detail":"low"}}, "#
            + #"{"type":"input_audio","input_audio":{"data":"\#(escaped)","format":"wav"}}],"x":{"y":[1.50]}}"#
        return NewMessage(role: .user, body: ByteBuffer(string: json), digest: Samples.digest("picture"))
    }

    private static func session(_ samples: ConversationSamples, of owner: UniqueID = .generate()) async throws
        -> Session
    {
        try await samples.store.create(SessionDraft(owner: owner))
    }

    private static func turn(_ session: Session, _ message: NewMessage) -> TurnDraft {
        var turn = Samples.turn(session, ["look", "a cat"])
        turn.messages[0] = message
        return turn
    }

    private static func count(_ table: String, _ samples: ConversationSamples) async throws -> Int64 {
        try await samples.database.read { connection in
            try connection.first(SQL(raw: "SELECT COUNT(*) FROM \(table)")) { try $0.value(0) } ?? 0
        }
    }

    @Sendable private static func roundTrip(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let session = try await session(samples)
            var turn = turn(session, picture())
            turn.messages[1].tokenEncoding = 2
            turn.messages[1].isPartial = true
            try await samples.append(turn)
            let expected = turn.messages.map(\.body)
            let key = session.key
            let ways = try await samples.store.read { reader in
                [
                    try reader.newest(20, of: key), try reader.messages(of: key, in: 0..<100),
                    try reader.messages(of: key, seqs: [session.nextSeq, session.nextSeq + 1]),
                    try reader.messages(of: key, MessageQuery()).elements,
                ]
            }
            for way in ways {
                try expectEqual(way.map(\.body), expected, "bodies")
                try expectEqual(way.map(\.tokenEncoding), [nil, 2], "encodings")
                try expectEqual(way.map(\.isPartial), [false, true], "which is partial")
            }
            let stored = try await samples.database.read { connection in
                try connection.first("SELECT MAX(LENGTH(body)) FROM messages") { try $0.value(0, as: Int64.self) }
            }
            try expect((stored ?? 0) < 1_000, "the media stand in the message's row")
        }
    }

    @Sendable private static func once(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let ann = try await session(samples)
            try await samples.append(turn(ann, picture()))
            try await samples.append(turn(try await samples.current(ann), picture()))
            try await samples.append(turn(try await session(samples, of: ann.key.owner), picture()))
            try expectEqual(try await count("blobs", samples), 2, "blobs of one user")
            try await samples.append(turn(try await session(samples), picture()))
            try expectEqual(try await count("blobs", samples), 4, "blobs of two users")
        }
    }

    @Sendable private static func purging(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let first = try await session(samples)
            let second = try await session(samples, of: first.key.owner)
            try await samples.append(turn(first, picture()))
            try await samples.append(turn(second, picture()))
            try await samples.append(turn(try await samples.current(second), picture(image + "AAAA")))
            try await samples.append(turn(try await session(samples), picture()))
            try expectEqual(try await count("blobs", samples), 6, "blobs")
            _ = try await samples.store.purge(first.key)
            try expectEqual(try await count("blobs", samples), 6, "blobs that another session holds")
            _ = try await samples.store.delete(second.key)
            try expectEqual(try await count("blobs", samples), 6, "blobs of a deleted session")
            _ = try await samples.store.purge(second.key)
            try expectEqual(try await count("blobs", samples), 2, "blobs of the other user")
            try expectEqual(try await count("blob_uses", samples), 2, "uses")
        }
    }

    @Sendable private static func erasingMeanwhile(_ fixture: any DatabaseFixture) async throws {
        try await Samples.with(fixture) { samples in
            let owner = UniqueID.generate()
            for _ in 0..<2 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in 0..<4 { group.addTask { try await goOn(samples, owner, "\(index)") } }
                    group.addTask { for _ in 0..<3 { _ = try await samples.store.erase(owner) } }
                    try await group.waitForAll()
                }
                try await expectWhole(samples, owner)
            }
            _ = try await samples.store.erase(owner)
            for table in ["sessions", "messages", "blobs", "blob_uses", "session_totals"] {
                try expectEqual(try await count(table, samples), 0, table)
            }
        }
    }

    /// Makes sessions and says something with a picture of its own in each; one that is erased meanwhile takes no turn.
    private static func goOn(_ samples: ConversationSamples, _ owner: UniqueID, _ name: String) async throws {
        for index in 0..<6 {
            let session = try await session(samples, of: owner)
            _ = try await samples.store.append(turn(session, picture(image + name + String(index, radix: 16))))
        }
    }

    /// Every session that is left can be read, and is counted.
    private static func expectWhole(_ samples: ConversationSamples, _ owner: UniqueID) async throws {
        let page = try await samples.store.read { try $0.sessions(of: owner, limit: 200) }
        try expectEqual(page.total, page.elements.count, "the sessions that are counted")
        for session in page.elements {
            let messages = try await samples.store.read { try $0.messages(of: session.key, in: 0..<100) }
            try expectEqual(Int64(messages.count), session.counters.messages, "the messages of a session that is left")
        }
    }
}
