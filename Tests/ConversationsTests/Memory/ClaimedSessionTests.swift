import NIOCore
import Persistence
import Testing

@testable import Conversations

/// Who is given a session from memory to store a turn behind it without asking.
@Suite("Claimed sessions") struct ClaimedSessionTests {
    private let cache = SessionCache(limit: 1 << 20)
    private let session = Session.sample()

    private func remember() {
        cache.store(SessionSnapshot(session, outlines: [], isComplete: true, bodies: []), readSince: cache.time)
    }

    private func turn(behind session: Session) throws -> TurnDraft {
        let digest = try #require(StoredDigest(bytes: Array(repeating: 1, count: 32)))
        return TurnDraft(
            key: session.key, baseSeq: session.nextSeq, requestDigest: digest,
            messages: [NewMessage(role: .user, body: ByteBuffer(string: "{}"), digest: digest)])
    }

    private func follow(isCommitted: Bool) throws {
        let known = cache.snapshot(session.key)?.session ?? session
        let turn = try turn(behind: known)
        let stored = StoredTurn(
            firstSeq: known.nextSeq, messageCount: 1, version: known.version + 1, superseded: .notAsked)
        cache.append(turn, isCommitted ? stored : nil, at: .now())
    }

    @Test func itIsGivenToOneTurnAtATime() throws {
        #expect(cache.claim(session.key) == nil)
        remember()
        #expect(cache.claim(session.key)?.version == session.version)
        #expect(cache.claim(session.key) == nil)
        try follow(isCommitted: true)
        #expect(cache.claim(session.key)?.version == session.version + 1)
        #expect(cache.claim(session.key) == nil)
    }

    /// One that began before the turn was stored says nothing of it.
    @Test func aReadingOfTheSameVersionOrAnEarlierOneDoesNotGiveItAgain() throws {
        remember()
        #expect(cache.claim(session.key) != nil)
        remember()
        #expect(cache.claim(session.key) == nil)
        var earlier = session
        earlier.change { $0.version -= 1 }
        cache.store(SessionSnapshot(earlier, outlines: [], isComplete: true, bodies: []), readSince: cache.time)
        #expect(cache.snapshot(session.key)?.session.version == session.version)
        #expect(cache.claim(session.key) == nil)
        var later = session
        later.change { $0.version += 1 }
        cache.store(SessionSnapshot(later, outlines: [], isComplete: true, bodies: []), readSince: cache.time)
        #expect(cache.claim(session.key)?.version == session.version + 1)
    }

    /// Whatever memory says: what the second one supersedes is not known from the row before the first.
    @Test func aBatchWithTwoTurnsOfOneSessionAsks() throws {
        let (one, other) = (session, Session.sample())
        func claim(_ turns: [TurnDraft]) -> SessionClaim? {
            SessionClaim(turns, .mariadb) { key in [one, other].first { $0.key == key } }
        }
        #expect(claim([try turn(behind: one), try turn(behind: other)])?.sessions.count == 2)
        #expect(claim([try turn(behind: one), try turn(behind: one)]) == nil)
    }

    @Test func itIsNotGivenWhileItsVersionIsProvisional() throws {
        remember()
        try follow(isCommitted: false)
        #expect(cache.snapshot(session.key)?.session.version == session.version + 1)
        #expect(cache.claim(session.key) == nil)
    }
}
