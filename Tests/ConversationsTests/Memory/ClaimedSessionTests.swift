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

    private func follow(isCommitted: Bool) throws {
        let known = cache.snapshot(session.key)?.session ?? session
        let digest = try #require(StoredDigest(bytes: Array(repeating: 1, count: 32)))
        let turn = TurnDraft(
            key: session.key, baseSeq: known.nextSeq, requestDigest: digest,
            messages: [NewMessage(role: .user, body: ByteBuffer(string: "{}"), digest: digest)])
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

    @Test func itIsNotGivenWhileItsVersionIsProvisional() throws {
        remember()
        try follow(isCommitted: false)
        #expect(cache.snapshot(session.key)?.session.version == session.version + 1)
        #expect(cache.claim(session.key) == nil)
    }
}
