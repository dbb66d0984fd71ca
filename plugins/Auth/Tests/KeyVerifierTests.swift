import NIOHTTP1
import Persistence
import ServiceLifecycleTestKit
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import AuthPlugin

@Suite struct KeyVerifierTests {
    @Test func seesARevocationByAnotherProcessAtTheNextPoll() async throws {
        let bench = try await AuthBench()
        let (user, key) = try await bench.user("alice")
        try await bench.poll()
        #expect(try await bench.authenticate(key.secret) != nil)
        let other = try await bench.fixture.open()
        try await KeyStore(database: other, hashKeys: bench.keys, clock: bench.time.clock)
            .revokeKey(named: "laptop", of: user.id)
        #expect(try await bench.authenticate(key.secret) != nil, "it is cached until the poll")

        bench.time.advance(by: .seconds(1))
        try await bench.poll()

        #expect(try await bench.refusal(key.secret).code == "api_key_revoked")
        await other.close()
    }

    @Test func looksKeysUpWhenNobodyHasPolledForTwoSeconds() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        _ = try await bench.authenticate(key.secret)
        bench.time.advance(by: .seconds(2))
        try await bench.store.revokeKey(key.info.id, of: key.info.userID)
        #expect(try await bench.refusal(key.secret).code == "api_key_revoked")
        #expect(try await bench.refusal(key.secret).code == "api_key_revoked")
    }

    @Test func findsANewKeyAfterItWasUnknown() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        let fingerprint = try PresentedKey(["Authorization": "Bearer \(key.secret.reveal())"])
        try await bench.file.write { try $0.execute("UPDATE api_keys SET user_id = x'00'") }
        #expect(try await bench.refusal(key.secret).code == "invalid_api_key")
        try await bench.file.write { connection in
            try connection.execute("UPDATE api_keys SET user_id = \(key.info.userID)")
            try KeyStore.announceChange(connection)
        }
        #expect(bench.verifier.known(fingerprint) != nil)
        try await bench.poll()
        #expect(try await bench.authenticate(key.secret) != nil)
    }

    @Test func doesNotKeepWhatALookupReadBeforeAChangeThatItOutlived() async throws {
        let bench = try await AuthBench()
        let (user, key) = try await bench.user("alice")
        try await bench.poll()
        let gate = Gate()
        bench.database.hold(at: gate)
        async let early = bench.authenticate(key.secret)
        defer { gate.open() }
        await gate.entered()
        bench.database.hold(at: nil)
        try await bench.store.revokeKey(key.info.id, of: user.id)
        try await bench.poll()
        #expect(try await bench.refusal(key.secret).code == "api_key_revoked", "it joins no lookup of before")
        gate.open()
        #expect(try await early != nil)
        #expect(try await bench.refusal(key.secret).code == "api_key_revoked")
    }

    @Test func looksAKeyUpOnceForAllWhoAskAtOnce() async throws {
        let bench = try await AuthBench()
        let key = APIKey.generate().key
        let reads = bench.database.reads
        let gate = Gate()
        bench.database.hold(at: gate)
        let codes = await withTaskGroup { group in
            for _ in 0..<64 { group.addTask { try? await bench.refusal(key).code } }
            await gate.entered()
            #expect(bench.verifier.lookups == 1)
            gate.open()
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(codes == Array(repeating: "invalid_api_key", count: 64))
        #expect(bench.database.reads == reads + 1)
        #expect(bench.verifier.lookups == 0)
    }

    @Test func looksAKeyUpAgainWhenItsTimeIsOver() async throws {
        var limits = KeyCacheLimits()
        limits.timeToLive = .seconds(1)
        let bench = try await AuthBench(limits)
        let (_, key) = try await bench.user("alice")
        _ = try await bench.authenticate(key.secret)
        bench.time.advance(by: .seconds(1))
        let reads = bench.database.reads
        #expect(try await bench.authenticate(key.secret) != nil)
        #expect(bench.database.reads == reads + 1)
    }

    // MARK: Outages

    @Test func believesVerifiedKeysDuringTheGracePeriodOnly() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        try await bench.poll()
        _ = try await bench.authenticate(key.secret)
        bench.database.isDown = true
        bench.time.advance(by: .seconds(1))
        try await bench.poll()

        bench.time.advance(by: .seconds(599))
        try await bench.poll()
        #expect(try await bench.authenticate(key.secret) != nil)
        let reads = bench.database.reads
        #expect(try await bench.authenticate(key.secret) != nil)
        #expect(bench.database.reads == reads, "an outage costs no lookups of keys that are known")
        let unknown = try await bench.refusal(APIKey.generate().key)
        #expect(unknown.status == .serviceUnavailable)
        #expect(unknown.headers.first(name: "Retry-After") != nil)

        bench.time.advance(by: .seconds(1))
        #expect(try await bench.refusal(key.secret).status == .serviceUnavailable)

        bench.database.isDown = false
        try await bench.poll()
        #expect(try await bench.authenticate(key.secret) != nil)
    }

    @Test func gathersNoLookupsInADatabaseThatHangs() async throws {
        let bench = try await AuthBench()
        bench.database.isDown = true
        bench.time.advance(by: .seconds(1))
        try await bench.poll()
        bench.database.isDown = false
        let gate = Gate()
        bench.database.hold(at: gate)
        let codes = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<4 { group.addTask { try await bench.refusal(APIKey.generate().key).code } }
            while bench.verifier.lookups < 4 { await Task.yield() }
            let refusal = try await bench.refusal(APIKey.generate().key)
            #expect(refusal.status == .serviceUnavailable && refusal.code == "authentication_unavailable")
            #expect(bench.verifier.lookups == 4)
            gate.open()
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(codes == Array(repeating: "invalid_api_key", count: 4), "they learn that the database is back")
    }

    @Test func aReloadInAnOutageKeepsTheKeysAndTheGracePeriodRunsOn() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        let secret = AuthBench.secret.reveal()
        let presented = try PresentedKey(["Authorization": "Bearer \(key.secret.reveal())"])
        let first = Inheritance()
        let before = try bench.plugin(.hashKey(secret), first).verifier
        try before.loadHashKeys()
        #expect(before.tick())
        await before.poll()
        _ = try await before.verify(presented)
        bench.database.isDown = true
        bench.time.advance(by: .seconds(1))
        #expect(before.tick())
        await before.poll()

        let second = Inheritance(from: first)
        let after = try bench.plugin(.hashKey(secret), second).verifier
        #expect(after.known(presented) != nil)
        bench.time.advance(by: .seconds(600))
        #expect(after.known(presented) == nil)

        #expect(try bench.plugin(.hashKey("x" + secret), Inheritance(from: second)).verifier !== after)
        #expect(try bench.plugin(.hashKey(secret, grace: "1h"), Inheritance(from: second)).verifier !== after)
    }

    @Test func forgetsWhatWasRevokedDuringAnOutageWhenItEnds() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        try await bench.poll()
        _ = try await bench.authenticate(key.secret)
        bench.database.isDown = true
        try await bench.poll()
        try await bench.store.revokeKey(key.info.id, of: key.info.userID)
        #expect(try await bench.authenticate(key.secret) != nil)
        bench.database.isDown = false
        try await bench.poll()
        #expect(try await bench.refusal(key.secret).code == "api_key_revoked")
    }

    @Test func believesAVerifiedKeyWhenItsLookupFailsBeforeThePollDoes() async throws {
        var limits = KeyCacheLimits()
        limits.timeToLive = .seconds(1)
        let bench = try await AuthBench(limits)
        let (_, key) = try await bench.user("alice")
        _ = try await bench.authenticate(key.secret)
        bench.database.isDown = true
        bench.time.advance(by: .seconds(1))
        #expect(try await bench.authenticate(key.secret) != nil)
        bench.time.advance(by: .seconds(600))
        #expect(try await bench.refusal(key.secret).status == .serviceUnavailable)
    }

    @Test func givesUpALookupAndAPollThatHang() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        try await bench.poll()
        _ = try await bench.authenticate(key.secret)
        let gate = Gate()
        bench.database.hold(at: gate)
        #expect(bench.verifier.tick())
        async let poll: Void = bench.verifier.poll()
        async let unknown = bench.refusal(APIKey.generate().key)
        defer { gate.open() }
        await gate.entered()
        while bench.verifier.lookups == 0 { await Task.yield() }
        bench.time.advance(by: .seconds(2))
        #expect(!bench.verifier.tick(), "one poll at a time")
        #expect(try await unknown.status == .serviceUnavailable)
        #expect(try await bench.authenticate(key.secret) != nil, "the hanging poll counts as an outage")
        gate.open()
        await poll
        bench.database.hold(at: nil)
        #expect(try await bench.authenticate(key.secret) != nil)
    }

    @Test func asksASlowDatabaseForNoKeyThatIsKnown() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        try await bench.poll()
        _ = try await bench.authenticate(key.secret)
        bench.time.advance(by: .milliseconds(1_900))
        #expect(bench.verifier.tick())
        bench.time.advance(by: .milliseconds(1_900))
        let reads = bench.database.reads
        #expect(try await bench.authenticate(key.secret) != nil)
        #expect(bench.database.reads == reads)
        bench.time.advance(by: .milliseconds(100))
        #expect(try await bench.authenticate(key.secret) != nil)
        #expect(bench.database.reads == reads + 1, "nobody has noticed yet that the poll is late")
    }

    @Test func pollsAtOnceWhenItRunsAndEndsWithTheShutdown() async throws {
        let bench = try await AuthBench()
        let plugin = try bench.plugin(.hashKey("x" + AuthBench.secret.reveal()))
        let reads = bench.database.reads
        try await testGracefulShutdown { trigger in
            async let running: Void = plugin.run()
            while bench.database.reads == reads { await Task.yield() }
            trigger.triggerGracefulShutdown()
            try await running
        }
        #expect(bench.database.reads > reads)
    }

    @Test func doesNotRunWithoutAHashKey() async throws {
        let bench = try await AuthBench()
        let plugin = try bench.plugin(.hashKey("file:/proc/none/hash.key"))
        await #expect(throws: HashKeyError.self) { try await plugin.run() }
    }

    // MARK: Bounds

    @Test func remembersABoundedNumberOfKeys() async throws {
        var limits = KeyCacheLimits()
        limits.entries = 16
        let bench = try await AuthBench(limits)
        let (user, first) = try await bench.user("alice")
        for index in 0..<40 {
            let key = try await bench.store.createKey(KeyRequest(userID: user.id, name: "key \(index)"))
            #expect(try await bench.authenticate(key.secret) != nil)
            #expect(try await bench.authenticate(first.secret) != nil)
            #expect(try await bench.refusal(APIKey.generate().key).code == "invalid_api_key")
        }
        #expect(bench.verifier.remembered == 16 + 2)
        let reads = bench.database.reads
        #expect(try await bench.authenticate(first.secret) != nil)
        #expect(bench.database.reads == reads, "the key in use stays")
    }
}

@Suite struct KeyCacheTests {
    private func fingerprint(_ number: Int) -> Fingerprint {
        withUnsafeBytes(of: number) { Fingerprint(of: $0) }
    }

    @Test func keepsWhatWasUsedSinceTheHandPassed() {
        var cache = KeyCache<Int>(capacity: 3)
        for number in 0..<3 { cache.store(number, for: fingerprint(number), at: 0) }
        _ = cache.find(fingerprint(0))
        cache.store(3, for: fingerprint(3), at: 0)
        #expect(cache.find(fingerprint(0))?.value == 0)
        #expect(cache.find(fingerprint(1)) == nil)
        #expect(cache.count == 3)
    }

    @Test func findsEverythingElseAfterARemoval() {
        var cache = KeyCache<Int>(capacity: 4)
        for number in 0..<4 { cache.store(number, for: fingerprint(number), at: 0) }
        cache.remove(fingerprint(1))
        cache.remove(fingerprint(3))
        cache.remove(fingerprint(7))
        #expect([0, 1, 2, 3].map { cache.find(fingerprint($0))?.value } == [0, nil, 2, nil])
        for number in 4..<12 { cache.store(number, for: fingerprint(number), at: 0) }
        #expect(cache.count == 4)
    }

    @Test func agreesWithADictionaryThatIsLargeEnough() {
        var cache = KeyCache<Int>(capacity: 64)
        var model: [Int: Int] = [:]
        var random = SystemRandomNumberGenerator()
        for step in 0..<5_000 {
            let number = Int.random(in: 0..<64, using: &random)
            switch Int.random(in: 0..<3, using: &random) {
            case 0:
                cache.store(step, for: fingerprint(number), at: 0)
                model[number] = step
            case 1:
                cache.remove(fingerprint(number))
                model[number] = nil
            default: #expect(cache.find(fingerprint(number))?.value == model[number])
            }
            #expect(cache.count == model.count)
        }
    }
}
