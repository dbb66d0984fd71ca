import Testing

@testable import Conversations

/// Which versions of a session a process may have made itself since an exchange took it from memory.
@Suite struct OwnChangesTests {
    private static func changes(_ made: [(at: UInt64, version: Int64?)]) -> OwnChanges {
        var changes = OwnChanges()
        for change in made {
            changes.last = change.at
            changes.note(change.version)
        }
        return changes
    }

    private static let premise = Premise(version: 4, expiresAt: nil, since: 10)

    @Test func itsOwnTurnsOneAfterTheOtherExplainWhatTheyMade() {
        #expect(Self.changes([(11, 5)]).explain(Self.premise, 5))
        #expect(Self.changes([(11, 5), (12, 6), (13, 7)]).explain(Self.premise, 7))
        #expect(Self.changes([(8, 3), (9, 4), (11, 5)]).explain(Self.premise, 5))
    }

    @Test func whatLiesBeforeBetweenOrBehindThemIsSomebodyElses() {
        #expect(!OwnChanges().explain(Self.premise, 5))
        #expect(!Self.changes([(11, 6)]).explain(Self.premise, 6))
        #expect(!Self.changes([(11, 5), (12, 7)]).explain(Self.premise, 7))
        #expect(!Self.changes([(11, 5)]).explain(Self.premise, 6))
        #expect(!Self.changes([(11, 5)]).explain(Self.premise, nil))
        #expect(!Self.changes([(8, 3), (9, 4)]).explain(Self.premise, 5))
    }

    @Test func aChangeOfItsOwnWhoseVersionItDoesNotKnowExplainsOneVersion() {
        for found in [5, nil] as [Int64?] {
            #expect(Self.changes([(11, nil)]).explain(Self.premise, found))
            #expect(!Self.changes([(10, nil)]).explain(Self.premise, found))
            #expect(OwnChanges().explain(Self.premise, found, underWay: 1))
        }
        #expect(!Self.changes([(11, nil)]).explain(Self.premise, 6))
        #expect(Self.changes([(11, nil), (12, nil)]).explain(Self.premise, 6))
        #expect(Self.changes([(11, 5), (12, nil), (13, 7)]).explain(Self.premise, 7))
        #expect(!Self.changes([(11, 5), (12, nil), (13, 8)]).explain(Self.premise, 8))
    }

    @Test func moreChangesThanItRemembersAreTakenForItsOwn() {
        let steps: Range<Int64> = 0..<40
        let many = steps.map { step -> (at: UInt64, version: Int64?) in (UInt64(11 + step), 5 + 2 * step) }
        let unknown = steps.map { step -> (at: UInt64, version: Int64?) in (UInt64(11 + step), nil) }
        // Sixteen runs are kept: from 53 to 83.
        #expect(Self.changes(many).explain(Self.premise, 51))
        #expect(!Self.changes(many).explain(Self.premise, 55))
        #expect(Self.changes(unknown).explain(Self.premise, 99))
    }
}
