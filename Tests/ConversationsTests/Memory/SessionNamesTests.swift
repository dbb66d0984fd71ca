import Persistence
import Testing

@testable import Conversations

/// Sessions in memory are found by what their clients call them.
@Suite struct SessionNamesTests {
    @Test func aNameThatWentToAnotherSessionStaysWithItWhenTheFirstIsDropped() {
        let cache = SessionCache(limit: 1 << 20)
        let owner = UniqueID.generate()
        let (first, second) = (Session.sample(of: owner, externalID: "s"), Session.sample(of: owner, externalID: "s"))
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
}
