import NIOCore
import Persistence
import Testing

@testable import Conversations

/// What memory does when a turn whose commit was not answered is found stored.
@Suite struct FoundTurnTests {
    private static let digest = SpoolFixture.digest("why?")
    private static let key = SpoolFixture.digest("an idempotency key")

    /// A cache that knows a session, whose only turn came under the key.
    private func cache() -> (cache: SessionCache, session: Session) {
        let (time, cache) = (Timestamp(microseconds: 1), SessionCache(limit: 1 << 20))
        let last = LastTurn(
            id: .generate(), firstSeq: 1, baseSeq: 1, requestDigest: Self.digest, idempotencyKey: Self.key)
        let session = Session.sample(nextSeq: 2, version: 2, lastTurn: last)
        let outline = MessageOutline(
            seq: 1, turnID: last.id, role: .user, digest: Self.digest, digestVersion: 1, tokens: 1)
        let message = StoredMessage(outline: outline, body: ByteBuffer(string: "{}"), createdAt: time)
        cache.store(
            SessionSnapshot(session, outlines: [outline], isComplete: true, bodies: [message]), readSince: cache.time)
        return (cache, session)
    }

    /// Found at seq 2, answering the same messages.
    private func find(_ key: StoredDigest, in cache: SessionCache, _ session: Session) {
        var turn = TurnDraft(
            key: session.key, baseSeq: 1, requestDigest: Self.digest,
            messages: [NewMessage(role: .user, body: ByteBuffer(string: "{}"), digest: Self.digest)])
        turn.idempotencyKey = key
        cache.append(turn, foundAt: 2, at: Timestamp(microseconds: 2))
    }

    /// The database has taken one of the two away, and which one is not known from the turn.
    @Test func anotherAttemptUnderTheNewestTurnsKeyIsReadAnew() {
        let (cache, session) = cache()
        find(Self.key, in: cache, session)
        #expect(cache.snapshot(session.key) == nil)
    }

    @Test func aTurnUnderAnotherKeyIsFollowed() {
        let (cache, session) = cache()
        find(SpoolFixture.digest("another key"), in: cache, session)
        #expect(cache.snapshot(session.key)?.session.nextSeq == 3)
    }
}
