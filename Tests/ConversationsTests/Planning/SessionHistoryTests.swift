import Logging
import NIOHTTP1
import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import Conversations

@Suite struct SessionHistoryTests {
    private func turn(_ said: Said...) throws -> IncomingTurn {
        IncomingTurn(messages: try said.map { try $0.incoming })
    }

    private func history(_ turn: IncomingTurn, limit: Int = 20) -> SessionHistory {
        SessionHistory(
            planner: TurnPlanner(mode: .auto, maxHistoryMessages: limit), turn: turn, repetition: .none,
            rules: HistoryRules(), mostTokens: .max)
    }

    /// A value of this size in an async function's frame is more than the compiler counts on, so it is made here.
    private func draft(_ said: Said, after now: Session, answer: String) throws -> TurnDraft {
        let turn = try turn(said)
        let planned = PlannedTurn(
            plan: HistoryPlan(newMessages: turn.messages, base: now.nextSeq), requestDigest: turn.digest)
        return try TurnDraft(id: .generate(), planned, in: now.key, answer: Said.assistant(answer).body)
    }

    private func add(_ said: Said, answer: String = "ok", to session: Session, _ store: ConversationStore) async throws
    {
        let now = try #require(try await store.read { try $0.session(session.key) })
        _ = try await store.append(draft(said, after: now, answer: answer))
    }

    /// A session that changes whenever it is looked at.
    private final class RestlessReading: HistoryReading {
        private var session: Session
        private(set) var restarts = 0

        init(_ session: Session) { self.session = session }

        func startOver() { restarts += 1 }
        func session(_ key: SessionKey) -> Session? {
            session.version += 1
            return session
        }
        func newestRun(_ limit: Int, of key: SessionKey, from start: Int64) -> ArraySlice<StoredMessage> { [] }
        func outlines(of key: SessionKey, in seqs: Range<Int64>, order: MessageOrder) -> [MessageOutline] { [] }
        func messages(of key: SessionKey, in seqs: Range<Int64>) -> [StoredMessage] { [] }
        func system(_ key: SessionKey) -> SystemMessages? { nil }
    }

    @Test func aSessionThatNeverRestsIsBusy() async throws {
        let files = SQLiteFixture()
        let database = try await files.open()
        _ = try await Migrator(ConversationStore.migrations, logger: Logger(label: "test")).migrate(database)
        let session = try await ConversationStore(database: database).create(SessionDraft(owner: .generate()))
        let restless = RestlessReading(session)
        let history = history(try turn(.user("new")))
        let error = #expect(throws: GatewayError.self) { try history.read(restless, startingWith: session) }
        #expect(error?.code == "session_busy" && error?.status == .serviceUnavailable)
        #expect(restless.restarts == 16)
        await database.close()
    }

    @Test func aPlanIsMadeOnTheSessionAsItIsAndNotAsItWas() async throws {
        let files = SQLiteFixture()
        let database = try await files.open()
        _ = try await Migrator(ConversationStore.migrations, logger: Logger(label: "test")).migrate(database)
        let store = ConversationStore(database: database)
        let known = try await store.create(SessionDraft(owner: .generate()))
        for text in ["one", "two"] { try await add(.user(text), to: known, store) }
        let windows = [try turn(.user("new")), try turn(.user("two"), .assistant("ok"), .user("new"))]
        for turn in windows {
            let history = history(turn)
            let found = try await store.read { try history.read($0, startingWith: known) }
            #expect(found.snapshot.plan.baseSeq == 5)
            #expect(found.snapshot.plan.newMessages.count == 1)
            #expect(found.snapshot.stored.count + turn.messages.count == 5)
        }
        _ = try await store.delete(known.key)
        let gone = history(windows[0])
        await #expect(throws: (any Error).self) { try await store.read { try gone.read($0, startingWith: known) } }
        await database.close()
    }

    @Test func aToolRoundAcrossTheLimitIsReadAsAWhole() async throws {
        let files = SQLiteFixture()
        let database = try await files.open()
        _ = try await Migrator(ConversationStore.migrations, logger: Logger(label: "test")).migrate(database)
        let store = ConversationStore(database: database)
        let session = try await store.create(SessionDraft(owner: .generate()))
        try await add(.user("go"), to: session, store)
        for _ in 1...3 { try await add(.tool("r"), answer: "call", to: session, store) }
        let history = history(try turn(.tool("r")), limit: 2)
        let found = try await store.read { try history.read($0, startingWith: session) }
        #expect(found.snapshot.stored.count == 8)
        await database.close()
    }
}
