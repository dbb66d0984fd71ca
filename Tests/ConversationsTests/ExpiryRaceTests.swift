import Logging
import Synchronization
import Testing
import TurnpikeTesting

@testable import Conversations
@testable import Persistence

/// What the purge has found expired may be used again before it comes to it.
@Suite struct ExpiryRaceTests {
    @Test func aSessionThatIsUsedWhileThePurgeLooksAtItIsKept() async throws {
        try await SQLiteFixture().with { base in
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            _ = try await Migrator(ConversationStore.migrations, logger: logger).migrate(base)
            let anHourAgo = ConversationStore(database: base) { Timestamp.now().advanced(by: .seconds(-3_600)) }
            let used = try await anHourAgo.create(SessionDraft(owner: .generate())).key
            let left = try await anHourAgo.create(SessionDraft(owner: .generate())).key
            let database = InterruptedDatabase(base) { connection in
                _ = try connection.execute(
                    "UPDATE sessions SET last_message_at = \(Timestamp.now()) WHERE user_id = \(used.owner)")
            }
            var limits = SessionPurge.Limits()
            limits.timeToLive = .seconds(60)
            let chore = SessionPurge.chore(limits, every: .seconds(600))
            #expect(try await chore.step(database, .now()) == .done)
            let store = ConversationStore(database: base)
            #expect(try await store.session(SessionReference(used.session), of: used.owner) != nil)
            #expect(try await store.session(SessionReference(left.session), of: left.owner) == nil)
        }
    }
}

/// A database in which somebody else writes before the first transaction.
private final class InterruptedDatabase: Database {
    private let base: any Database
    private let interruption: @Sendable (any Connection) throws -> Void
    private let hasBegun = Atomic(false)

    init(_ base: any Database, _ interruption: @escaping @Sendable (any Connection) throws -> Void) {
        self.base = base
        self.interruption = interruption
    }

    var dialect: Dialect { base.dialect }
    var threads: DatabaseThreads { base.threads }

    func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value { try base.blockingRead(body) }

    func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        if !hasBegun.exchange(true, ordering: .relaxed) { try base.blockingWrite(interruption) }
        return try base.blockingWrite(body)
    }

    func close() async {}
}
