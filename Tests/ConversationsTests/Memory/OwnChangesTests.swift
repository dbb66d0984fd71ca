import Persistence
import Testing

@testable import Conversations

/// Which versions of a session a process has made itself since an exchange took it from memory.
@Suite struct OwnChangesTests {
    private static let key = SessionKey(owner: UniqueID(high: 1, low: 1), session: UniqueID(high: 1, low: 2))
    private static let premise = Premise(version: 4, expiresAt: nil, since: 10)

    private static func changes(_ made: [(at: UInt64, version: Int64)]) -> OwnChanges {
        var changes = OwnChanges()
        for change in made { changes.change(key, at: change.at) { $0.note(change.version) } }
        return changes
    }

    private static func explains(_ found: Int64?, _ changes: OwnChanges) -> Bool {
        changes.explain(premise, of: key, found)
    }

    @Test func itsOwnChangesExplainWhatTheyMade() {
        #expect(Self.explains(5, Self.changes([(11, 5)])))
        #expect(Self.explains(7, Self.changes([(11, 5), (12, 6), (13, 7)])))
        #expect(Self.explains(5, Self.changes([(8, 3), (9, 4), (11, 5)])))
        #expect(Self.explains(7, Self.changes([(11, 5), (12, 7), (13, 6)])))
    }

    @Test func whatLiesBeforeBetweenOrBehindThemIsSomebodyElses() {
        #expect(!Self.explains(5, OwnChanges()))
        #expect(!Self.explains(6, Self.changes([(11, 6)])))
        #expect(!Self.explains(7, Self.changes([(11, 5), (12, 7)])))
        #expect(!Self.explains(6, Self.changes([(11, 5)])))
        #expect(!Self.explains(nil, Self.changes([(11, 5)])))
        #expect(!Self.explains(5, Self.changes([(8, 3), (9, 4)])))
        #expect(!Self.explains(3, Self.changes([(11, 3)])))
        #expect(!Self.explains(.max, Self.changes([(11, 5)])))
    }

    @Test func aTransactionExplainsWhatItSaidBeforeAndBehindItsEnd() {
        var changes = OwnChanges()
        changes.begin(.session(Self.key), at: 11)
        #expect(!Self.explains(5, changes))
        changes.note([VersionChange(key: Self.key, old: 5, new: 6)], ofWrite: 11)
        #expect(!Self.explains(5, changes) && !Self.explains(6, changes))
        changes.note([VersionChange(key: Self.key, old: 4, new: 5)], ofWrite: 11)
        #expect(Self.explains(5, changes) && !Self.explains(6, changes) && !Self.explains(nil, changes))
        for change in changes.end(11) { changes.change(change.key, at: 12) { $0.note(change, at: 12) } }
        #expect(Self.explains(5, changes) && !Self.explains(6, changes) && !Self.explains(nil, changes))
    }

    /// As it does that moves a session and changes its settings.
    @Test func aTransactionThatChangesASessionTwiceExplainsBothVersions() {
        var changes = OwnChanges()
        changes.begin(.session(Self.key), at: 11)
        changes.note([VersionChange(key: Self.key, old: 4, new: 6)], ofWrite: 11)
        #expect(Self.explains(6, changes) && !Self.explains(7, changes))
        for change in changes.end(11) { changes.change(change.key, at: 12) { $0.note(change, at: 12) } }
        #expect(Self.explains(5, changes) && Self.explains(6, changes) && !Self.explains(7, changes))
    }

    @Test func whatATransactionSaidThatWasRolledBackIsForgotten() {
        var changes = OwnChanges()
        changes.begin(.session(Self.key), at: 11)
        changes.note([VersionChange(key: Self.key, old: 4, new: 5)], ofWrite: 11)
        #expect(changes.end(11).count == 1)
        #expect(!Self.explains(5, changes))
    }

    @Test(arguments: [true, false]) func ofAWriteThatChangedNothingWhatItSaidExplainsNothing(hasChanged: Bool) {
        let cache = SessionCache(limit: 1 << 20)
        let premise = Premise(version: 4, since: cache.time)
        let write = cache.begin(.session(Self.key))
        cache.note([VersionChange(key: Self.key, old: 4, new: 5)], ofWrite: write)
        #expect(cache.holds(premise, of: Self.key, at: 5))
        cache.end(write, .session(Self.key), hasChanged: hasChanged)
        #expect(cache.holds(premise, of: Self.key, at: 5) == hasChanged)
    }

    @Test func aSessionThatIsGoneIsExplainedByItsOwnDeletion() {
        var changes = OwnChanges()
        changes.begin(.session(Self.key), at: 11)
        changes.note([VersionChange(key: Self.key, old: 9, new: 10, isGone: true)], ofWrite: 11)
        #expect(Self.explains(nil, changes) && !Self.explains(9, changes))
        for change in changes.end(11) { changes.change(change.key, at: 12) { $0.note(change, at: 12) } }
        #expect(Self.explains(nil, changes))
        #expect(!changes.explain(Premise(version: 4, since: 12), of: Self.key, nil))
        // It has come back, and what brought it says so.
        changes.begin(.session(Self.key), at: 13)
        changes.note([VersionChange(key: Self.key, old: 10, new: 11)], ofWrite: 13)
        let known = Premise(version: 9, since: 10)
        #expect(changes.explain(known, of: Self.key, 11) && !changes.explain(known, of: Self.key, 12))
    }

    @Test func aUserWhoIsBeingErasedHasNoSessionsAnyMore() {
        var changes = OwnChanges()
        changes.begin(.user(Self.key.owner), at: 11)
        #expect(Self.explains(nil, changes) && !Self.explains(5, changes))
        _ = changes.end(11)
        #expect(!Self.explains(nil, changes))
    }

    @Test func behindATurnThatWasFoundStoredNothingIsHeldAgainstWhatWasUnderWay() {
        var changes = OwnChanges()
        changes.change(Self.key, at: 11) { $0.noteFound(at: 11) }
        #expect(Self.explains(5, changes) && !Self.explains(nil, changes))
        #expect(!changes.explain(Premise(version: 4, since: 11), of: Self.key, 5))
    }

    @Test func ofVersionsWithManyGapsTheOldestAreTakenForThoseOfOthers() {
        let steps: Range<Int64> = 0..<40
        let changes = Self.changes(steps.map { (UInt64(11 + $0), 5 + 2 * $0) })
        // The newest run and sixteen before it: from 51 to 83.
        #expect(changes.explain(Premise(version: 82, since: 10), of: Self.key, 83))
        #expect(changes.explain(Premise(version: 50, since: 10), of: Self.key, 51))
        #expect(!changes.explain(Premise(version: 48, since: 10), of: Self.key, 49))
    }

    @Test func theLatestThousandsOfSessionsAreRemembered() {
        var changes = Self.changes([(11, 5)])
        func changeOthers(_ count: Int, at time: UInt64) {
            for number in 0..<count {
                let other = SessionKey(owner: Self.key.owner, session: UniqueID(high: 2, low: UInt64(number)))
                changes.change(other, at: time) { $0.note(1) }
            }
        }
        changeOthers(8_192, at: 12)
        #expect(changes.last(Self.key) == 11 && changes.forgotten == 0)
        #expect(Self.explains(5, changes) && !Self.explains(6, changes))
        // One that changes again takes what is known of it along.
        changes.change(Self.key, at: 12) { $0.note(6) }
        #expect(Self.explains(6, changes) && !Self.explains(7, changes))
        changeOthers(2 * 8_193, at: 13)
        // What is known of no more may have changed until they were put aside.
        #expect(changes.last(Self.key) == changes.forgotten && changes.forgotten >= 11)
        #expect(Self.explains(7, changes))
        #expect(!changes.explain(Premise(version: 4, since: 14), of: Self.key, 7))
    }
}
