import Journal
import Logging
import NIOCore
import Persistence
import TurnpikeTesting

@testable import Conversations

/// A store with a spool and a cache, on SQLite that fails where a test wants it.
final class SpoolFixture: Sendable {
    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private let files = SQLiteFixture()
    let database: FaultyDatabase
    let store: ConversationStore
    let directory: String
    /// Without memory and spool: it asks the database also where `store` has just found that it does not answer.
    private let databaseAlone: ConversationStore

    /// With deadlines that no machine is too slow for, but for those that a test sets.
    ///
    /// - Parameters:
    ///   - disk: of the spool.
    ///   - now: the clock of the store.
    init(
        deadline: Duration = .seconds(60), diskDeadline: Duration = .seconds(60), size: Int = 1 << 30,
        on disk: any JournalFiles = PosixFiles(), now: @escaping @Sendable () -> Timestamp = Timestamp.now
    ) async throws {
        directory = files.directory + "/spool"
        database = FaultyDatabase(try await files.open())
        _ = try await Migrator(ConversationStore.migrations, logger: Self.logger).migrate(database)
        var settings = SpoolSettings(directory: directory)
        settings.commitDeadline = deadline
        settings.diskDeadline = diskDeadline
        settings.maxSize = size
        store = ConversationStore(
            database: database, durability: try Durability(settings, on: disk, logger: Self.logger),
            cacheLimit: 1 << 20, now: now)
        databaseAlone = ConversationStore(database: database)
    }

    static func with(_ body: (SpoolFixture) async throws -> Void) async throws {
        let fixture = try await SpoolFixture()
        do {
            try await body(fixture)
        } catch {
            await fixture.close()
            throw error
        }
        await fixture.close()
    }

    func close() async {
        await store.closeSpool()
        await database.close()
    }

    /// Appends while the database does not answer.
    func spool(_ turn: TurnDraft) async throws {
        database.fail(atStep: 0, with: .unavailable)
        let outcome = try await store.append(turn)
        _ = database.withdraw()
        guard outcome == .spooled else { throw DatabaseError(.refuse, "not spooled: \(outcome)") }
    }

    /// Stores what waits.
    func drain() async throws { _ = try await store.drainSpool(logger: Self.logger) }

    /// What is stored.
    func texts(_ key: SessionKey) async throws -> [String] {
        try await databaseAlone.read { try $0.messages(of: key, in: 0..<Int64.max) }.map { String(buffer: $0.body) }
    }

    /// The session as the next exchange finds it.
    func session(_ key: SessionKey) async throws -> Session {
        guard let session = try await store.session(SessionReference(key.session), of: key.owner) else {
            throw DatabaseError(.refuse, "the session is gone")
        }
        return session
    }

    /// A turn that is planned on `session`, of bodies "q" and "a" with this name and so many dots.
    static func turn(
        _ name: String, after session: Session, supersedes from: Int64? = nil, padding: Int = 0
    ) -> TurnDraft {
        let messages = [(MessageRole.user, "q"), (.assistant, "a")].map { role, letter in
            var body = ByteBuffer(string: letter + name)
            body.writeRepeatingByte(UInt8(ascii: "."), count: padding)
            return NewMessage(role: role, body: body, digest: digest(letter + name))
        }
        var turn = TurnDraft(
            key: session.key, baseSeq: session.nextSeq, requestDigest: digest(name), messages: messages)
        turn.supersedes.fromSeq = from
        turn.knownTurn = KnownTurn(session)
        return turn
    }

    static func digest(_ text: String) -> StoredDigest {
        let bytes = Array(text.utf8) + Array(repeating: 0, count: 32)
        guard let digest = StoredDigest(bytes: bytes.prefix(32)) else { preconditionFailure("32 bytes are a digest") }
        return digest
    }
}
