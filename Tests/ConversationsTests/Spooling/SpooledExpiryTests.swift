import Persistence
import Synchronization
import Testing
import TurnpikeTesting

@testable import Conversations

/// A session that was used in an outage for longer than it lives: its row says that it has ended, and it has not.
@Suite struct SpooledExpiryTests {
    /// What would delete a session that has ended, or take it for gone.
    enum Ending: CaseIterable { case purge, list, search, sameName, room, sameConversation, change }

    private static let life = 3_600
    private static let conversation = AgentConversation(agentID: "agent", externalID: "conversation")
    private let clock = Clock()

    /// The clock of the store. The row of the session is a day old.
    private final class Clock: Sendable {
        let ahead = Mutex(Duration.seconds(-86_400))
        var now: Timestamp { Timestamp.now().advanced(by: ahead.withLock { $0 }) }
        func set(_ duration: Duration) { ahead.withLock { $0 = duration } }
    }

    private func with(_ body: (SpoolFixture, Session) async throws -> Void) async throws {
        let fixture = try await SpoolFixture(now: { [clock] in clock.now })
        do {
            var draft = SessionDraft(owner: .generate(), externalID: "theirs", conversation: Self.conversation)
            draft.settings.ttlSeconds = Self.life
            draft.settings.title = "needle"
            let session = try await fixture.store.create(draft)
            _ = try await fixture.store.append(SpoolFixture.turn("1", after: session))
            try await fixture.spool(SpoolFixture.turn("2", after: try await fixture.session(session.key)))
            clock.set(.zero)
            // The outage is over, and somebody has heard so: on a busy machine it was noticed, too.
            fixture.store.durability?.writes.noteAnswer()
            try await body(fixture, session)
        } catch {
            await fixture.close()
            throw error
        }
        await fixture.close()
    }

    @Test(arguments: Ending.allCases) func itsTurnsAreStoredWhateverLooksForWhatHasEnded(_ ending: Ending) async throws
    {
        try await with { fixture, session in
            try await Self.come(ending, upon: session.key, fixture)
            #expect(try await fixture.session(session.key).nextSeq == 5)
            try await fixture.drain()
            #expect(try await fixture.texts(session.key) == ["q1", "a1", "q2", "a2"])
        }
    }

    @Test func itEndsWhenItsTurnsAreStoredAndItsTimeIsOver() async throws {
        try await with { fixture, session in
            try await fixture.drain()
            #expect(try await fixture.session(session.key).nextSeq == 5)
            clock.set(.seconds(Self.life + 1))
            let found = try await fixture.store.session(SessionReference(session.key.session), of: session.key.owner)
            #expect(found == nil)
        }
    }

    private static func come(_ ending: Ending, upon key: SessionKey, _ fixture: SpoolFixture) async throws {
        let store = fixture.store
        switch ending {
        case .purge: await purge(fixture)
        case .list: try await store.expire(key.owner)
        case .search:
            let query = SearchQuery(text: "needle", limit: 1)
            let hits = try await store.read { try $0.search(query, of: key.owner) { false }.hits }
            #expect(hits.map(\.session) == [key.session])
        case .sameName:
            let found = try await store.createOrFind(SessionDraft(owner: key.owner, externalID: "theirs"))
            guard case .found(let other) = found else {
                Issue.record("another one was made")
                return
            }
            #expect(other.key == key)
        case .room:
            var draft = SessionDraft(owner: key.owner)
            draft.maximumSessions = 1
            await #expect(throws: ConversationError.tooManySessions(limit: 1)) { try await store.create(draft) }
        case .sameConversation:
            let other = try await store.create(SessionDraft(owner: key.owner))
            await #expect(throws: ConversationError.conversationTaken) {
                _ = try await store.update(other.key, conversation: { $0 = conversation }, { _ in })
            }
        case .change:
            let changed = try await store.update(key) { $0.maxHistory = 3 }
            #expect(changed?.settings.maxHistory == 3)
        }
    }

    private static func purge(_ fixture: SpoolFixture) async {
        let chore = SessionPurge.chore(SessionPurge.Limits(), every: .seconds(600), store: fixture.store)
        await chore.run(on: fixture.database, logger: SpoolFixture.logger) { duration in
            if duration != chore.pause { throw CancellationError() }
        }
    }
}
