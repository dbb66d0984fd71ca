import Persistence
import Testing
import TurnpikeKit

@testable import AuthPlugin

/// What is left of keys in doubt for the next round, without a database.
@Suite struct DoubtRoundTests {
    private typealias State = KeyVerifier.State
    private static let now: UInt64 = 1_000_000_000_000

    private static func key(_ number: Int) -> VerifiedKey {
        let principal = Principal(
            userID: .generate(), userName: "alice", keyID: .generate(), keyName: "key \(number)", scopes: .chat)
        return VerifiedKey(principal: principal, expires: nil)
    }

    /// What a poll that reads a generation does.
    private static func poll(_ state: inout State, _ generation: Int64) {
        let begins = state.beginPoll(at: now)
        #expect(begins)
        state.endPoll(generation)
    }

    /// A state that remembers some keys, of which it is known since that something has changed.
    private static func doubting(_ keys: [VerifiedKey]) -> State {
        var state = State(KeyCacheLimits())
        poll(&state, 1)
        for (number, key) in keys.enumerated() {
            let fingerprint = withUnsafeBytes(of: number) { Fingerprint(of: $0) }
            let flight = State.Flight(
                number: 0, target: State.Target(fingerprint: fingerprint, epoch: state.epoch), startedAt: now)
            _ = state.settle(flight, .success(.verified(key)), at: now)
        }
        // The first poll was a change too: nothing was remembered then.
        if let round = state.beginRound() { state.endRound(round, reachedAll: true) }
        poll(&state, 2)
        return state
    }

    /// Goes through rounds until there is none; how many keys each of them had.
    private static func rounds(_ state: inout State, _ keys: [VerifiedKey], limit: Int) -> [Int] {
        let found = Dictionary(uniqueKeysWithValues: keys.map { ($0.principal.keyID, $0) })
        var sizes: [Int] = []
        while sizes.count < 9, let round = state.beginRound(limit: limit) {
            for batch in round.batches {
                let isSettled = state.settle(batch, of: round, found)
                #expect(isSettled)
            }
            state.endRound(round, reachedAll: true)
            sizes.append(round.doubts.count)
        }
        return sizes
    }

    /// One that is full cannot know whether there are more.
    @Test(arguments: [(1, [1]), (2, [2, 0]), (3, [2, 1]), (5, [2, 2, 1])])
    func whatARoundHasNoRoomForIsLookedUpInTheNext(_ count: Int, _ sizes: [Int]) {
        let keys = (0..<count).map(Self.key)
        var state = Self.doubting(keys)
        let rounds = Self.rounds(&state, keys, limit: 2)
        #expect(rounds == sizes)
    }

    @Test func aRoundThatReachedNotAllIsFollowedByAnother() {
        let keys = (0..<3).map(Self.key)
        var state = Self.doubting(keys)
        if let round = state.beginRound(limit: 5) { state.endRound(round, reachedAll: false) }
        let rounds = Self.rounds(&state, keys, limit: 5)
        #expect(rounds == [3])
    }
}
