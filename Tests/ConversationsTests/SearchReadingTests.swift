import Logging
import NIOCore
import Persistence
import Testing
import TurnpikeTesting

@testable import Conversations

/// What a search makes a database send.
@Suite("Reading for a search") struct SearchReadingTests {
    private static let messages: Int64 = 1_000
    private static let now = Timestamp(microseconds: 1)

    /// It may be stopped every few messages, and goes on behind them in the next slice of time.
    @Test(arguments: [5, 2_000]) func whatItDoesNotLookAtIsNotSent(_ limit: Int) async throws {
        try await SQLiteFixture().with { database in
            let owner = try await Self.session(in: database).owner
            try await database.read { connection in
                let received = ReceivingConnection(connection)
                let reader = ConversationReader(received, at: Expiry(at: Self.now))
                var query = SearchQuery(text: "needle", limit: limit)
                var found: [Int64] = []
                repeat {
                    let before = received.rows
                    let result = try reader.search(query, of: owner) { true }
                    // The session's row, and what is looked at before time is asked for.
                    #expect(received.rows - before <= 1 + SearchWalk.messagesPerLook)
                    found += result.hits.compactMap(\.seq)
                    query.from = result.next
                } while query.from != nil
                #expect(found == (1...Self.messages).reversed())
            }
        }
    }

    @Test func aSearchThatHasTimeReadsALongSessionInAFewStatements() async throws {
        try await SQLiteFixture().with { database in
            let owner = try await Self.session(in: database).owner
            try await database.read { connection in
                let received = ReceivingConnection(connection)
                let query = SearchQuery(text: "needle", limit: 2_000)
                let result = try ConversationReader(received, at: Expiry(at: Self.now)).search(query, of: owner) {
                    false
                }
                #expect(result.hits.compactMap(\.seq) == (1...Self.messages).reversed())
                #expect(received.rows == 1 + Self.messages && received.statements <= 10)
            }
        }
    }

    /// A session of 1,000 messages in which all is found.
    private static func session(in database: any Database) async throws -> SessionKey {
        _ = try await Migrator(ConversationStore.migrations, logger: Logger(label: "test")).migrate(database)
        let store = ConversationStore(database: database)
        let session = try await store.create(SessionDraft(owner: .generate()))
        let digest = try #require(StoredDigest(bytes: Array(repeating: 0, count: 32)))
        let body = ByteBuffer(string: #"{"role":"user","content":"a needle"}"#)
        let message = NewMessage(role: .user, body: body, digest: digest)
        let turn = TurnDraft(
            key: session.key, baseSeq: session.nextSeq, requestDigest: digest,
            messages: Array(repeating: message, count: Int(messages)))
        _ = try await store.append(turn)
        return session.key
    }
}

/// Receives all that a statement gives, as the client of a server must that has begun to send.
private final class ReceivingConnection: Connection {
    private let base: any Connection
    private(set) var rows = 0
    private(set) var statements = 0

    init(_ base: any Connection) { self.base = base }

    var dialect: Dialect { base.dialect }

    func execute(_ sql: SQL) throws -> Int { try base.execute(sql) }

    func execute(_ statement: BulkStatement, rows: BulkRows) throws { try base.execute(statement, rows: rows) }

    func forEach(_ sql: SQL, _ body: (borrowing Row) throws -> RowStep) throws {
        statements += 1
        var isStopped = false
        try base.forEach(sql) { row in
            rows += 1
            if !isStopped { isStopped = try body(row) == .stop }
            return .next
        }
    }
}
