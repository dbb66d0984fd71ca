import Persistence
import Testing

@testable import Conversations

/// Sessions in memory are found by what their clients call them.
@Suite struct SessionNamesTests {
    @Test func aNameThatWentToAnotherSessionStaysWithItWhenTheFirstIsDropped() {
        let cache = SessionCache(limit: 1 << 20)
        let owner = UniqueID.generate()
        let (first, second) = (session("s", of: owner), session("s", of: owner))
        for session in [first, second] {
            cache.store(SessionSnapshot(session, outlines: [], isComplete: true, bodies: []), readSince: cache.time)
        }
        let lookup = SessionLookup.reference(SessionReference("s"), of: owner)
        #expect(cache.snapshot(lookup)?.session.key == second.key)
        cache.drop(first.key)
        #expect(cache.snapshot(lookup)?.session.key == second.key)
        cache.drop(second.key)
        #expect(cache.snapshot(lookup) == nil)
    }

    private func session(_ externalID: String, of owner: UniqueID) -> Session {
        let time = Timestamp(microseconds: 1)
        return Session(
            key: SessionKey(owner: owner, session: .generate()), externalID: externalID, conversation: nil,
            settings: SessionSettings(), systemDigest: nil, nextSeq: 1, contextStartSeq: 0, version: 1, lastTurn: nil,
            counters: SessionCounters(), createdAt: time, updatedAt: time, lastMessageAt: time)
    }
}
