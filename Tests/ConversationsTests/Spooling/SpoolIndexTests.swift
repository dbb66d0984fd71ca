import Persistence
import Testing

@testable import Conversations

@Suite struct SpoolIndexTests {
    private let alice = SessionKey(owner: .generate(), session: .generate())
    private let bob = SessionKey(owner: .generate(), session: .generate())

    private func turn(_ sequence: UInt64, of key: SessionKey, bytes: Int = 10) -> SpoolIndex.Turn {
        SpoolIndex.Turn(sequence: sequence, key: key, id: .generate(), bytes: bytes)
    }

    private func arrive(_ turn: SpoolIndex.Turn, in index: inout SpoolIndex) {
        index.arrive(turn.key)
        index.arrived(turn.key, turn)
    }

    private func expectReplay(of turns: [SpoolIndex.Turn], from index: inout SpoolIndex, limit: Int) {
        let taken = index.takeForReplay(limit: limit, bytes: 100)
        #expect(taken.map(\.turn) == turns)
    }

    @Test func aSessionIsHeldFromTheMomentItsTurnIsOnTheWay() {
        var index = SpoolIndex()
        index.arrive(alice)
        #expect(index.holds(alice) && !index.holds(bob))
        index.arrived(alice, nil)
        #expect(!index.holds(alice) && index.isEmpty)
    }

    @Test func turnsOfASessionAreReplayedOneAfterTheOtherAndSessionsTogether() {
        var index = SpoolIndex()
        let turns = [turn(1, of: alice), turn(2, of: bob), turn(3, of: alice)]
        // The appends of a session may return in another order.
        arrive(turns[2], in: &index)
        arrive(turns[0], in: &index)
        arrive(turns[1], in: &index)
        expectReplay(of: [turns[0], turns[1]], from: &index, limit: 10)
        expectReplay(of: [], from: &index, limit: 10)
        index.finish(turns[0], isDone: true)
        expectReplay(of: [turns[2]], from: &index, limit: 10)
        index.finish(turns[2], isDone: false)
        expectReplay(of: [turns[2]], from: &index, limit: 10)
        index.finish(turns[2], isDone: true)
        index.finish(turns[1], isDone: true)
        #expect(index.isEmpty && index.count == 0)
    }

    @Test func aBatchIsBoundedButNeverEmpty() {
        var index = SpoolIndex()
        let turns = [turn(1, of: alice, bytes: 1_000), turn(2, of: bob, bytes: 1_000)]
        for turn in turns { arrive(turn, in: &index) }
        expectReplay(of: [turns[0]], from: &index, limit: 10)
        expectReplay(of: [], from: &index, limit: 0)
    }

    @Test func afterADivergenceTheLaterTurnsKnowOfIt() {
        var index = SpoolIndex()
        arrive(turn(1, of: alice), in: &index)
        arrive(turn(2, of: bob), in: &index)
        index.diverge(alice)
        let taken = index.takeForReplay(limit: 10, bytes: 100)
        #expect(taken.map(\.hasDiverged) == [true, false])
    }

    @Test func whatIsDiscardedIsForgottenEvenInTheMiddleOfItsReplay() {
        var index = SpoolIndex()
        let turns = [turn(1, of: alice), turn(2, of: alice), turn(3, of: bob)]
        for turn in turns { arrive(turn, in: &index) }
        _ = index.takeForReplay(limit: 1, bytes: 100)
        let owner = alice.owner
        let discarded = index.discard { $0.owner == owner }
        index.finish(turns[0], isDone: true)
        #expect(discarded.map(\.sequence) == [1, 2])
        #expect(!index.holds(alice) && index.holds(bob) && index.count == 1)
    }
}
