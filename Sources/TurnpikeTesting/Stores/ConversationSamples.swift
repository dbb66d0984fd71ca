import Conversations
import NIOCore
import Persistence

/// A conversation store on a fixture, with short ways to write what the checks need.
struct ConversationSamples: Sendable {
    let database: any Database
    let store: ConversationStore

    /// How many bytes of sessions a store remembers.
    @TaskLocal static var memory = 0

    init(_ database: any Database) {
        self.database = database
        store = ConversationStore(database: database, durability: nil, cacheLimit: Self.memory)
    }

    /// Opens the fixture with the tables of conversations in it.
    static func with(_ fixture: any DatabaseFixture, _ body: (ConversationSamples) async throws -> Void) async throws {
        try await fixture.with { database in
            try await Migrator(ConversationStore.migrations, logger: MigrationConformance.logger).migrate(database)
            try await body(ConversationSamples(database))
        }
    }

    static func digest(_ text: String) -> StoredDigest {
        var bytes = Array(text.utf8.prefix(32))
        bytes += Array(repeating: 0, count: 32 - bytes.count)
        guard let digest = StoredDigest(bytes: bytes) else { preconditionFailure("32 bytes are a digest") }
        return digest
    }

    static func message(_ role: MessageRole, _ text: String) -> NewMessage {
        NewMessage(
            role: role, body: ByteBuffer(string: #"{"content": "\#(text)",  "x":1}"#), digest: digest(text),
            tokens: text.utf8.count)
    }

    /// A turn: the texts are a question, an answer, and so on.
    static func turn(
        _ session: Session, _ texts: [String], base: Int64? = nil, supersedes: Supersession = Supersession()
    ) -> TurnDraft {
        var draft = turn(session.key, texts, base: base ?? session.nextSeq)
        draft.supersedes = supersedes
        return draft
    }

    static func turn(_ key: SessionKey, _ texts: [String], base: Int64) -> TurnDraft {
        var draft = TurnDraft(
            key: key, baseSeq: base, requestDigest: digest(texts.first ?? ""),
            messages: texts.enumerated().map { message($0.offset % 2 == 0 ? .user : .assistant, $0.element) })
        draft.promptTokens = 10
        draft.completionTokens = 3
        return draft
    }

    /// The texts of the active messages, in order.
    func texts(_ key: SessionKey) async throws -> [String] {
        try await store.read { try $0.messages(of: key, in: 0..<Int64.max) }.map(Self.text)
    }

    static func text(_ message: StoredMessage) -> String {
        let body = String(buffer: message.body)
        return String(body.dropFirst(#"{"content": ""#.count).dropLast(#"",  "x":1}"#.count))
    }

    /// The session as it is now.
    func current(_ session: Session) async throws -> Session {
        guard let now = try await store.session(SessionReference(session.key.session), of: session.key.owner) else {
            throw ConformanceFailure(description: "the session is gone")
        }
        return now
    }

    /// Appends and expects that the turn is stored.
    @discardableResult
    func append(_ draft: TurnDraft) async throws -> StoredTurn {
        let outcome = try await store.append(draft)
        guard case .stored(let turn) = outcome else { throw ConformanceFailure(description: "not stored: \(outcome)") }
        return turn
    }
}
