import Conversations
import NIOCore
import Persistence

/// What one user has, asked for as another who owns nothing and knows every id.
///
/// The API looks the session up by its owner first, so that most of these statements never get a foreign key; each of
/// them keeps to the owner all the same.
enum IsolationConformance {
    static var cases: [ConformanceCase] {
        [
            ConformanceCase("nothing that is read shows another user's", reading),
            ConformanceCase("nothing that is written touches another user's", writing),
        ]
    }

    private struct Sight {
        let samples: ConversationSamples
        /// An active session and a deleted one, each with a branch that was left and feedback.
        let active: SessionKey
        let deleted: SessionKey
        let stranger = UniqueID.generate()

        var store: ConversationStore { samples.store }
        func stolen(_ key: SessionKey) -> SessionKey { SessionKey(owner: stranger, session: key.session) }
    }

    private static func with(_ fixture: any DatabaseFixture, _ body: (Sight) async throws -> Void) async throws {
        try await ConversationSamples.with(fixture) { samples in
            let owner = UniqueID.generate()
            var keys: [SessionKey] = []
            for name in ["active", "deleted"] {
                var draft = SessionDraft(owner: owner, externalID: name)
                draft.settings.title = "needle"
                draft.settings.tags = ["tag"]
                draft.settings.sourceChannel = "web"
                let session = try await samples.store.create(draft)
                try await samples.append(ConversationSamples.turn(session, ["needle", "b"]))
                let now = try await samples.current(session)
                try await samples.append(
                    ConversationSamples.turn(now, ["c", "d"], supersedes: Supersession(fromSeq: 1)))
                _ = try await samples.store.set(feedback(3), on: session.key)
                keys.append(session.key)
            }
            _ = try await samples.store.delete(keys[1])
            try await body(Sight(samples: samples, active: keys[0], deleted: keys[1]))
        }
    }

    private static func feedback(_ seq: Int64?) -> Feedback {
        Feedback(seq: seq, thumb: .up, scoreHundredths: 100, comment: "c", at: Timestamp(microseconds: 1))
    }

    /// Fails with the names of all that were found.
    private static func expectNone(_ found: [(what: String, count: Int)]) throws {
        try expectEqual(found.filter { $0.count != 0 }.map(\.what), [], "what was found")
    }

    @Sendable private static func reading(_ fixture: any DatabaseFixture) async throws {
        try await with(fixture) { sight in
            let (stranger, key) = (sight.stranger, sight.stolen(sight.active))
            let found = try await sight.store.read { reader in
                try lists(reader, stranger) + sums(reader, stranger) + session(reader, key)
            }
            try expectNone(found)
        }
    }

    private static func lists(_ reader: ConversationReader, _ stranger: UniqueID) throws -> [(String, Int)] {
        var deleted = SessionQuery(limit: 9)
        deleted.filter.isDeleted = true
        var tagged = SessionQuery(limit: 9)
        tagged.filter.tag = "tag"
        let own = SessionQuery(SessionFilter(includesGroups: false), limit: 9)
        let queries = [
            ("own", own), ("all", SessionQuery(limit: 9)), ("behind an offset", SessionQuery(limit: 9, offset: 1)),
            ("deleted", deleted), ("tagged", tagged),
        ]
        return try queries.flatMap { name, query in
            let page = try reader.sessions(of: stranger, query)
            return [("list, \(name)", page.elements.count), ("total, \(name)", page.total)]
        } + [("search", try reader.search(SearchQuery(text: "needle", limit: 9), of: stranger) { false }.hits.count)]
    }

    private static func sums(_ reader: ConversationReader, _ stranger: UniqueID) throws -> [(String, Int)] {
        let sums = try reader.statistics(of: stranger)
        return [
            ("sessions", sums.sessions), ("deleted sessions", sums.deletedSessions), ("messages", sums.messages),
            ("turns", sums.turns), ("channels", sums.channels.count), ("feedback", sums.feedback.count),
            ("last message", sums.lastMessageAt == nil ? 0 : 1),
            ("stored messages", Int(try reader.storedMessages(of: stranger))),
        ]
    }

    private static func session(_ reader: ConversationReader, _ key: SessionKey) throws -> [(String, Int)] {
        let (page, branches) = (try reader.messages(of: key, MessageQuery()), try reader.branches(of: key, limit: 9))
        let feedback = try reader.feedback(of: key, limit: 9, offset: 0)
        return [
            ("the session", try reader.session(key) == nil ? 0 : 1),
            ("by a name", try reader.session(SessionReference("active"), of: key.owner) == nil ? 0 : 1),
            ("messages", page.elements.count + page.total),
            ("messages by seq", try reader.messages(of: key, seqs: [1, 3]).count),
            ("outlines", try reader.outlines(of: key).count), ("newest", try reader.newest(9, of: key).count),
            ("branches", branches.elements.count + branches.total),
            ("messages of a branch", try reader.messages(ofBranch: 3, key, limit: 9)?.count ?? 0),
            ("feedback of the session", feedback.elements.count), ("total of feedback", feedback.total),
            ("feedback of a message", try reader.feedback(of: key, seq: 3) == nil ? 0 : 1),
            ("feedback of messages", try reader.feedback(of: key, in: 0...9).count),
        ]
    }

    @Sendable private static func writing(_ fixture: any DatabaseFixture) async throws {
        try await with(fixture) { sight in
            let before = try await everything(sight)
            let (active, deleted) = (sight.stolen(sight.active), sight.stolen(sight.deleted))
            let store = sight.store
            try expect(try await store.set(feedback(3), on: active) == nil, "feedback was given")
            try expectEqual(try await store.removeFeedback(of: active, seq: 3), .notFound, "feedback was taken back")
            try expectEqual(try await store.restore(branch: 3, of: active), .noSuchSession, "a branch was restored")
            try expect(try await store.restore(deleted) == nil, "a session was restored")
            for key in [active, deleted] {
                try expectEqual(try await store.delete(key), .notFound, "a session was deleted")
                try expectEqual(try await store.purge(key), .notFound, "a session was purged")
            }
            try expect(try await store.update(active) { $0.title = "x" } == nil, "a session was changed")
            try await store.expire(sight.stranger)
            try expectEqual(try await store.erase(sight.stranger).sessions, 0, "sessions were erased")
            try expectEqual(try await everything(sight), before, "all that is stored")
        }
    }

    /// How many rows there are, and what the owner sees.
    private static func everything(_ sight: Sight) async throws -> [String] {
        let counts = try await sight.samples.database.read { connection in
            try SessionRemoval.tables.map { table in
                try connection.first("SELECT COUNT(*) FROM \(raw: table)") { "\(table): \(try $0.integer(0))" } ?? ""
            }
        }
        let owner = sight.active.owner
        let sums = try await sight.store.read { "\(try $0.statistics(of: owner))" }
        return counts + [sums] + (try await sight.samples.texts(sight.active))
    }
}
