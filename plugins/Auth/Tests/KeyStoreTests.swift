import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import AuthPlugin

@Suite(.serialized) struct KeyStoreTests {
    @Test(arguments: TestedDatabase.allCases)
    func storesAHashAndAPrefixAndNotTheKey(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (_, key) = try await bench.user("alice")
        let secret = key.secret.reveal()
        #expect(secret.utf8.count == APIKey.length)
        #expect(key.info.prefix == String(secret.prefix(11)))
        let stored = try await bench.file.read { connection in
            try connection.rows("SELECT hex(key_hash), prefix, name, hash_key_id FROM api_keys") {
                try [$0.text(0), $0.text(1), $0.text(2), $0.text(3)]
            }
        }
        #expect(stored.count == 1)
        #expect(stored[0][0].utf8.count == 64)
        #expect(stored[0][1...] == [key.info.prefix, "laptop", "default"])
    }

    @Test(arguments: TestedDatabase.allCases)
    func findsAndListsUsersByName(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        for name in ["bob", "Alice", "alice"] { _ = try await bench.store.createUser(name) }
        #expect(try await bench.store.listUsers().map(\.name) == ["Alice", "alice", "bob"])
        #expect(try await bench.store.listUsers(after: "Alice", limit: 1).map(\.name) == ["alice"])
        #expect(try await bench.store.findUser(named: "Alice")?.name == "Alice")
        #expect(try await bench.store.findUser(named: "ALICE") == nil)
    }

    @Test(arguments: TestedDatabase.allCases)
    func refusesASecondUserOfOneName(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        _ = try await bench.store.createUser("alice")
        await #expect(throws: KeyStoreError.userExists) { try await bench.store.createUser("alice") }
    }

    @Test(
        arguments: [
            "", " alice", "alice ", "a\nb", "a\u{0}b", "a\u{200B}b", "a\u{202E}b", "\u{A0}",
            String(repeating: "é", count: 65),
        ], TestedDatabase.allCases)
    func refusesANameThatCannotBeSeen(_ name: String, _ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        await #expect(throws: KeyStoreError.invalidName) { try await bench.store.createUser(name) }
        let (user, _) = try await bench.user("alice")
        await #expect(throws: KeyStoreError.invalidName) {
            _ = try await bench.store.createKey(KeyRequest(userID: user.id, name: name))
        }
    }

    @Test(
        arguments: [
            "a", "Zoë Müller", "alice@example.com", "名前", "'; DROP TABLE users; --", String(repeating: "é", count: 64),
        ], TestedDatabase.allCases)
    func takesAnyVisibleName(_ name: String, _ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        _ = try await bench.user(name)
        #expect(try await bench.store.findUser(named: name)?.name == name)
    }

    @Test(arguments: TestedDatabase.allCases)
    func refusesASecondLiveKeyOfOneName(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (user, key) = try await bench.user("alice")
        await #expect(throws: KeyStoreError.keyNameTaken) {
            _ = try await bench.store.createKey(KeyRequest(userID: user.id, name: "laptop"))
        }
        try await bench.store.revokeKey(key.info.id, of: user.id)
        _ = try await bench.store.createKey(KeyRequest(userID: user.id, name: "laptop"))
        #expect(try await bench.store.listKeys(of: user.id).map(\.name) == ["laptop", "laptop"])
    }

    @Test(arguments: TestedDatabase.allCases)
    func letsTheNameOfAnExpiredKeyBeUsedAgain(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (user, _) = try await bench.user("alice", expires: bench.time.now.advanced(by: .seconds(1)))
        bench.time.advance(by: .seconds(1))
        _ = try await bench.store.createKey(KeyRequest(userID: user.id, name: "laptop"))
        await #expect(throws: KeyStoreError.expiryInThePast) {
            _ = try await bench.store.createKey(KeyRequest(userID: user.id, name: "old", expires: bench.time.now))
        }
    }

    @Test(arguments: TestedDatabase.allCases)
    func keepsUsersFromEachOthersKeys(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (alice, key) = try await bench.user("alice")
        let (bob, _) = try await bench.user("bob")
        #expect(try await bench.store.listKeys(of: bob.id).map(\.userID) == [bob.id])
        #expect(try await bench.key(key.info.id, of: bob.id) == nil)
        await #expect(throws: KeyStoreError.keyNotFound) { try await bench.store.revokeKey(key.info.id, of: bob.id) }
        await #expect(throws: KeyStoreError.keyNotFound) {
            _ = try await bench.store.replaceKey(.id(key.info.id), of: bob.id, grace: .seconds(60))
        }
        try await bench.store.revokeKey(named: "laptop", of: bob.id)
        #expect(try await bench.key(key.info.id, of: alice.id)?.revoked == nil)
    }

    @Test(arguments: TestedDatabase.allCases)
    func aKeyKeepsItsHistoryModeUntilItIsChanged(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (user, plain) = try await bench.user("alice")
        let made = try await bench.store.createKey(KeyRequest(userID: user.id, name: "titles", historyMode: .off))
        #expect(try await bench.authenticate(plain.secret)?.historyMode == nil)
        #expect(try await bench.authenticate(made.secret)?.historyMode == .off)
        let new = try await bench.store.replaceKey(.id(made.info.id), of: user.id, grace: .seconds(60)).new
        #expect(try await bench.authenticate(new.secret)?.historyMode == .off)
        // What is remembered of verified keys is forgotten with the next poll; the key that was replaced changes too.
        let changed = try await bench.store.setHistoryMode(.append, ofKeyNamed: "titles", of: user.id)
        #expect(changed.id == new.info.id && changed.historyMode == .append)
        try await bench.poll()
        #expect(try await bench.authenticate(made.secret)?.historyMode == .append)
        #expect(try await bench.authenticate(new.secret)?.historyMode == .append)
        try await bench.store.setHistoryMode(nil, ofKeyNamed: "titles", of: user.id)
        #expect(try await bench.store.listKeys(of: user.id).map(\.historyMode) == [nil, nil, nil])
        await #expect(throws: KeyStoreError.keyNotFound) {
            try await bench.store.setHistoryMode(.off, ofKeyNamed: "unheard", of: user.id)
        }
    }

    @Test func aHistoryModeThatALaterReleaseKnowsIsNone() async throws {
        let bench = try await AuthBench()
        let (user, key) = try await bench.user("alice")
        try await bench.file.write { try $0.execute("UPDATE api_keys SET history_mode = 'hearsay'") }
        #expect(try await bench.authenticate(key.secret)?.historyMode == nil)
        #expect(try await bench.store.listKeys(of: user.id).map(\.historyMode) == [nil])
    }

    @Test(arguments: TestedDatabase.allCases)
    func refusesKeysForAUserThatIsNotThere(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        await #expect(throws: KeyStoreError.userNotFound) {
            _ = try await bench.store.createKey(KeyRequest(userID: .generate(), name: "laptop"))
        }
    }

    @Test(arguments: TestedDatabase.allCases)
    func revokesAKeyForGoodAndKeepsTheMomentOfTheFirstTime(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let (user, key) = try await bench.user("alice")
        let first = try await bench.store.revokeKey(key.info.id, of: user.id)
        bench.time.advance(by: .seconds(5))
        let second = try await bench.store.revokeKey(key.info.id, of: user.id)
        #expect(first.revoked != nil)
        #expect(second.revoked == first.revoked)
        await #expect(throws: KeyStoreError.keyNotFound) {
            try await bench.store.revokeKey(named: "laptop", of: user.id)
        }
    }

    @Test(arguments: TestedDatabase.allCases)
    func raisesTheGenerationWithEveryChange(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let lookup = KeyLookup(database: bench.file, hashKeys: bench.keys)
        let (user, key) = try await bench.user("alice")
        #expect(try await lookup.generation() == 2)
        let new = try await bench.store.replaceKey(.id(key.info.id), of: user.id, grace: .seconds(60)).new
        #expect(try await lookup.generation() == 3)
        try await bench.store.revokeKey(new.info.id, of: user.id)
        #expect(try await lookup.generation() == 4)
    }

    @Test(arguments: TestedDatabase.allCases)
    func changesNothingWhenAnyStepFails(_ tested: TestedDatabase) async throws {
        let bench = try await AuthBench(on: tested)
        let faulty = FaultyDatabase(bench.file)
        let store = KeyStore(database: faulty, hashKeys: bench.keys, clock: bench.time.clock)
        let lookup = KeyLookup(database: bench.file, hashKeys: bench.keys)
        let user = try await store.createUser("alice")
        var step = 0
        while true {
            let before = try await lookup.generation()
            faulty.fail(atStep: step, with: .unavailable)
            do {
                _ = try await store.createKey(KeyRequest(userID: user.id, name: "laptop"))
                break
            } catch is DatabaseError {
                let stored = try await bench.store.listKeys(of: user.id).count
                // The fault behind the commit: it has happened, and was announced.
                #expect((stored, try await lookup.generation()) == (stored, before + Int64(stored)))
                if stored > 0 { try await bench.store.revokeKey(named: "laptop", of: user.id) }
            }
            step += 1
            try #require(step < 20)
        }
        #expect(faulty.withdraw())
        #expect(step >= 5)
    }
}
