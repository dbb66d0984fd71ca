import NIOHTTP1
import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import AuthPlugin

/// What becomes of remembered keys when something has changed, and when the database goes away behind that.
@Suite(.serialized) struct KeyDoubtTests {
    @Test(arguments: TestedDatabase.allCases)
    func aKeyThatNobodyUsedSinceAChangeIsKnownInAnOutage(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (_, key) = try await bench.user("alice")
        try await bench.poll()
        _ = try await bench.authenticate(key.secret)
        _ = try await bench.user("bob")
        try await bench.poll()

        try await bench.outage()

        let reads = bench.database.reads
        #expect(try await bench.authenticate(key.secret)?.userName == "alice")
        #expect(bench.database.reads == reads)
    }

    @Test(arguments: TestedDatabase.allCases)
    func aKeyThatWasRevokedBeforeAnOutageIsNotBelievedInIt(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (_, kept) = try await bench.user("alice")
        let (user, revoked) = try await bench.user("bob")
        try await bench.poll()
        for key in [kept, revoked] { _ = try await bench.authenticate(key.secret) }
        try await bench.store.revokeKey(revoked.info.id, of: user.id)
        try await bench.poll()
        #expect(bench.verifier.remembered == 1)

        try await bench.outage()

        #expect(try await bench.refusal(revoked.secret).status == .serviceUnavailable)
        #expect(try await bench.authenticate(kept.secret) != nil)
    }

    @Test(arguments: TestedDatabase.allCases)
    func whatAChangeSaysOfAKeyIsKnownInAnOutage(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (user, old) = try await bench.user("alice")
        try await bench.poll()
        _ = try await bench.authenticate(old.secret)
        try await bench.store.setHistoryMode(.off, ofKeyNamed: "laptop", of: user.id)
        _ = try await bench.store.replaceKey(.id(old.info.id), of: user.id, grace: .seconds(60))
        try await bench.poll()

        try await bench.outage()

        #expect(try await bench.authenticate(old.secret)?.historyMode == .off)
        bench.time.advance(by: .seconds(58))
        #expect(try await bench.authenticate(old.secret) != nil)
        bench.time.advance(by: .seconds(1))
        #expect(try await bench.refusal(old.secret).code == "api_key_expired")
    }

    @Test func aKeyThatCouldNotBeLookedUpAgainIsNotBelieved() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        try await bench.poll()
        _ = try await bench.authenticate(key.secret)
        _ = try await bench.user("bob")
        bench.database.goesDown(afterReads: 1)
        try await bench.poll()
        #expect(try await bench.refusal(key.secret).status == .serviceUnavailable, "the lookup has failed")
        try await bench.outage()
        #expect(try await bench.refusal(key.secret).status == .serviceUnavailable)

        // The next poll that succeeds makes up for it, although nothing has changed since.
        bench.database.isDown = false
        try await bench.poll()
        try await bench.outage()
        #expect(try await bench.authenticate(key.secret) != nil)
    }

    @Test func whatWasReadBeforeAFurtherChangeIsNotBelieved() async throws {
        let bench = try await AuthBench()
        let (user, key) = try await bench.user("alice")
        let (_, kept) = try await bench.user("bob")
        try await bench.poll()
        for key in [key, kept] { _ = try await bench.authenticate(key.secret) }
        _ = try await bench.user("carol")
        try await bench.duringARound {
            try await bench.store.revokeKey(key.info.id, of: user.id)
            try await bench.poll()
        }

        try await bench.outage()
        #expect(try await bench.refusal(key.secret).status == .serviceUnavailable)
        bench.database.isDown = false
        try await bench.poll()
        #expect(try await bench.refusal(key.secret).code == "api_key_revoked")
        try await bench.outage()
        #expect(try await bench.authenticate(kept.secret) != nil, "the next round has made up for it")
    }

    @Test func whileKeysAreLookedUpAgainTheOldAnswersAreNotGiven() async throws {
        let bench = try await AuthBench()
        let (user, key) = try await bench.user("alice")
        try await bench.poll()
        _ = try await bench.authenticate(key.secret)
        try await bench.store.revokeKey(key.info.id, of: user.id)
        try await bench.duringARound {
            let refusal = try await bench.refusal(key.secret)
            #expect(refusal.code == "api_key_revoked")
        }
        #expect(try await bench.refusal(key.secret).code == "api_key_revoked")
    }

    @Test func manyKeysAreLookedUpAgainInFewQueries() async throws {
        let bench = try await AuthBench()
        let (user, _) = try await bench.user("alice")
        let count = KeyVerifier.State.Round.batch + 44
        var keys: [NewKey] = []
        for number in 0..<count {
            keys.append(try await bench.store.createKey(KeyRequest(userID: user.id, name: "key \(number)")))
        }
        try await bench.poll()
        for key in keys { #expect(try await bench.authenticate(key.secret) != nil) }
        _ = try await bench.store.createUser("bob")
        let reads = bench.database.reads
        try await bench.poll()
        #expect(bench.database.reads == reads + 3, "the poll, and two batches")
        try await bench.poll()
        #expect(bench.database.reads == reads + 4, "nothing is in doubt any more")
        try await bench.outage()
        for key in keys { #expect(try await bench.authenticate(key.secret) != nil) }
    }

    @Test func beingLookedUpAgainDoesNotMakeAKeyLastLonger() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        try await bench.poll()
        _ = try await bench.authenticate(key.secret)
        bench.time.advance(by: .seconds(299))
        _ = try await bench.store.createUser("bob")
        try await bench.poll()
        let reads = bench.database.reads
        #expect(try await bench.authenticate(key.secret) != nil)
        #expect(bench.database.reads == reads)
        bench.time.advance(by: .seconds(1))
        #expect(try await bench.authenticate(key.secret) != nil)
        #expect(bench.database.reads == reads + 1, "its time is over")
    }
}

extension AuthBench {
    /// The database is away, and a poll a second later has noticed.
    fileprivate func outage() async throws {
        database.isDown = true
        time.advance(by: .seconds(1))
        try await poll()
    }

    /// Runs a closure while a round, which a poll that saw a change has begun, has read its first batch and not got it
    /// yet.
    fileprivate func duringARound(_ body: () async throws -> Void) async throws {
        let gate = Gate()
        database.hold(at: gate, afterReads: 1)
        try #require(verifier.tick())
        async let round: Void = verifier.poll()
        // Behind the round, so that it is run before the round is awaited.
        defer { gate.open() }
        await gate.entered()
        database.hold(at: nil)
        try await body()
        gate.open()
        await round
    }
}
