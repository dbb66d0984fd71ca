import NIOHTTP1
import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import AuthPlugin

@Suite(.serialized) struct KeyRotationTests {
    @Test(arguments: TestedDatabase.allCases)
    func theOldKeyGoesOnForTheGracePeriodAndNoLonger(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (user, old) = try await bench.user("alice")
        #expect(try await bench.authenticate(old.secret) != nil)
        let rotation = try await bench.store.replaceKey(.id(old.info.id), of: user.id, grace: .seconds(60))
        let new = rotation.new
        #expect(rotation.old.expires == bench.time.now.advanced(by: .seconds(60)))
        #expect(rotation.old.replacedBy == new.info.id)
        try await bench.poll()
        let principal = try #require(try await bench.authenticate(new.secret))
        #expect(principal.userID == user.id && principal.keyID == new.info.id && principal.keyName == "laptop")
        bench.time.advance(by: .seconds(59))
        try await bench.poll()
        #expect(try await bench.authenticate(old.secret)?.keyID == old.info.id)
        bench.time.advance(by: .seconds(1))
        try await bench.poll()
        let refusal = try await bench.refusal(old.secret)
        #expect(refusal.status == .unauthorized && refusal.code == "api_key_expired")
        #expect(try await bench.authenticate(new.secret) != nil)
        #expect(try await bench.store.listKeys(of: user.id) == [rotation.old, new.info])
    }

    @Test(arguments: TestedDatabase.allCases)
    func withoutAGracePeriodTheOldKeyEndsAtOnce(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (user, old) = try await bench.user("alice")
        try await bench.poll()
        #expect(try await bench.authenticate(old.secret) != nil)
        let new = try await bench.store.replaceKey(.name("laptop"), of: user.id, grace: .zero).new
        #expect(try await bench.authenticate(new.secret) != nil, "the new one works before anybody has polled")
        try await bench.poll()
        #expect(try await bench.refusal(old.secret).code == "api_key_expired")
    }

    @Test(arguments: TestedDatabase.allCases)
    func everythingButTheKeyItselfGoesOver(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let user = try await bench.store.createUser("alice")
        let expires = bench.time.now.advanced(by: .seconds(3_600))
        let old = try await bench.store.createKey(
            KeyRequest(
                userID: user.id, name: "ops", scopes: [.chat, .admin], expires: expires, historyMode: .append))
        // A mode that only a later release knows.
        try await bench.file.write { try $0.execute("UPDATE api_keys SET history_mode = 'hearsay'") }
        bench.time.advance(by: .seconds(1))
        let new = try await bench.store.replaceKey(.id(old.info.id), of: user.id, grace: .seconds(60)).new
        #expect(new.info.name == "ops" && new.info.scopes == [.chat, .admin] && new.info.expires == expires)
        #expect(new.info.created == bench.time.now && new.info.prefix != old.info.prefix)
        for column in try await columns(of: bench) {
            let count = try await bench.file.read { connection in
                try connection.first("SELECT COUNT(DISTINCT COALESCE(\(raw: column), 'none')) FROM api_keys") {
                    try $0.integer(0)
                }
            }
            let isItsOwn = ["key_hash", "key_id", "prefix", "created_us", "expires_us", "replaced_by"].contains(column)
            #expect(count == (isItsOwn ? 2 : 1), "\(column)")
        }
        let mode = try await bench.file.read { connection in
            try connection.rows("SELECT history_mode FROM api_keys") { try $0.text(0) }
        }
        #expect(mode == ["hearsay", "hearsay"])
    }

    private func columns(of bench: AuthBench) async throws -> [String] {
        let query: SQL =
            switch bench.file.dialect {
            case .sqlite: "SELECT name FROM pragma_table_info('api_keys')"
            case .mariadb:
                """
                SELECT column_name FROM information_schema.columns \
                WHERE table_schema = DATABASE() AND table_name = 'api_keys'
                """
            }
        let columns = try await bench.file.read { try $0.rows(query) { try $0.text(0) } }
        try #require(columns.count >= 12)
        return columns
    }

    @Test(arguments: TestedDatabase.allCases)
    func theOldKeysOwnExpiryStaysIfItComesFirst(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let soon = bench.time.now.advanced(by: .seconds(10))
        let (user, old) = try await bench.user("alice", expires: soon)
        let later = bench.time.now.advanced(by: .seconds(1_000))
        await #expect(throws: KeyStoreError.expiryInThePast) {
            _ = try await bench.store.replaceKey(
                .id(old.info.id), of: user.id, grace: .seconds(60), expires: bench.time.now)
        }
        let rotation = try await bench.store.replaceKey(
            .id(old.info.id), of: user.id, grace: .seconds(60), expires: later)
        #expect(rotation.old.expires == soon && rotation.new.info.expires == later)
        #expect(try await bench.store.listKeys(of: user.id).map(\.expires) == [soon, later])
    }

    @Test(arguments: TestedDatabase.allCases)
    func aKeyAtItsEndIsNotReplaced(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (alice, key) = try await bench.user("alice", expires: bench.time.now.advanced(by: .seconds(10)))
        let (bob, revoked) = try await bench.user("bob")
        try await bench.store.revokeKey(revoked.info.id, of: bob.id)
        for choice in [KeyChoice.id(revoked.info.id), .name("laptop")] {
            await #expect(throws: KeyStoreError.keyRevoked) { try await rotate(choice, bob) }
        }
        let new = try await bench.store.replaceKey(.id(key.info.id), of: alice.id, grace: .seconds(5)).new.info
        await #expect(throws: KeyStoreError.keyReplaced(by: new.id)) { try await rotate(.id(key.info.id), alice) }
        bench.time.advance(by: .seconds(10))
        await #expect(throws: KeyStoreError.keyReplaced(by: new.id)) { try await rotate(.id(key.info.id), alice) }
        for choice in [KeyChoice.id(new.id), .name("laptop")] {
            await #expect(throws: KeyStoreError.keyExpired) { try await rotate(choice, alice) }
        }
        for choice in [KeyChoice.id(.generate()), .id(revoked.info.id), .name("unheard")] {
            await #expect(throws: KeyStoreError.keyNotFound) { try await rotate(choice, alice) }
        }
        #expect(try await bench.store.listKeys(of: alice.id).count == 2)
        #expect(try await bench.store.listKeys(of: bob.id).count == 1)

        func rotate(_ choice: KeyChoice, _ user: UserInfo) async throws {
            _ = try await bench.store.replaceKey(choice, of: user.id, grace: .seconds(60))
        }
    }

    @Test(arguments: TestedDatabase.allCases)
    func byItsNameTheKeyThatNoOtherHasReplacedIsMeant(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (user, first) = try await bench.user("alice")
        let second = try await bench.store.replaceKey(.name("laptop"), of: user.id, grace: .seconds(60))
        let third = try await bench.store.replaceKey(.name("laptop"), of: user.id, grace: .seconds(10))
        #expect(third.old.id == second.new.info.id)
        #expect(try await bench.key(first.info.id, of: user.id) == second.old, "its end stays as it was")
        for key in [first, second.new, third.new] { #expect(try await bench.authenticate(key.secret) != nil) }
        // A revocation by name ends all of them, one by id that one alone.
        try await bench.store.revokeKey(second.old.id, of: user.id)
        try await bench.poll()
        #expect(try await bench.refusal(first.secret).code == "api_key_revoked")
        #expect(try await bench.authenticate(third.new.secret) != nil)
        try await bench.store.revokeKey(named: "laptop", of: user.id)
        try await bench.poll()
        for key in [first, second.new, third.new] {
            #expect(try await bench.refusal(key.secret).code == "api_key_revoked")
        }
    }

    /// With several keys, one after the other: without a lock now and then only one would win all the same.
    @Test(arguments: TestedDatabase.allCases)
    func ofTwoRotationsAtOnceOneWins(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let other = try await bench.fixture.open()
        let stores = [bench.store, KeyStore(database: other, hashKeys: bench.keys, clock: bench.time.clock)]
        for round in 0..<6 {
            let (user, key) = try await bench.user("alice\(round)")
            let won = try await Self.rotateAtOnce(key.info.id, of: user.id, in: stores)
            #expect(won.count == 1)
            #expect(try await bench.store.listKeys(of: user.id).map(\.id) == [key.info.id, won.first?.new.info.id])
        }
        await other.close()
    }

    /// Eight times at once, four of them from each of two processes.
    private static func rotateAtOnce(
        _ key: UniqueID, of user: UniqueID, in stores: [KeyStore]
    ) async throws -> [KeyRotation] {
        try await withThrowingTaskGroup(of: KeyRotation?.self) { group in
            for number in 0..<8 {
                group.addTask {
                    do {
                        return try await stores[number % 2].replaceKey(.id(key), of: user, grace: .seconds(60))
                    } catch KeyStoreError.keyReplaced {
                        return nil
                    }
                }
            }
            return try await group.reduce(into: [KeyRotation]()) { if let rotation = $1 { $0.append(rotation) } }
        }
    }

    @Test(arguments: TestedDatabase.allCases)
    func nothingIsHalfRotatedWhenAnyStepFails(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let faulty = FaultyDatabase(bench.file)
        let store = KeyStore(database: faulty, hashKeys: bench.keys, clock: bench.time.clock)
        let lookup = KeyLookup(database: bench.file, hashKeys: bench.keys)
        let (user, _) = try await bench.user("alice")
        var (step, stored) = (0, 1)
        while true {
            let generation = try await lookup.generation()
            faulty.fail(atStep: step, with: .unavailable)
            do {
                _ = try await store.replaceKey(.name("laptop"), of: user.id, grace: .seconds(60))
                break
            } catch is DatabaseError {
                let keys = try await bench.store.listKeys(of: user.id)
                // The fault behind the commit: all of it has happened, and was announced.
                #expect(try await lookup.generation() == generation + Int64(keys.count - stored))
                stored = keys.count
                #expect(keys.dropLast().map(\.replacedBy) == keys.dropFirst().map(\.id))
                #expect(keys.last?.replacedBy == nil && keys.last?.expires == nil)
            }
            step += 1
            try #require(step < 20)
        }
        #expect(faulty.withdraw())
        #expect(step >= 7 && stored == 2)
    }
}
