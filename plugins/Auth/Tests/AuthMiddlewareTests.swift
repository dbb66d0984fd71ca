import NIOHTTP1
import Persistence
import Testing
import TurnpikeKit

@testable import AuthPlugin

@Suite struct AuthMiddlewareTests {
    @Test func leavesThePrincipalOfAGoodKey() async throws {
        let bench = try await AuthBench()
        let (user, key) = try await bench.user("alice")

        let principal = try #require(try await bench.authenticate(key.secret))

        #expect(principal.userID == user.id)
        #expect(principal.userName == "alice")
        #expect(principal.keyID == key.info.id)
        #expect(principal.keyName == "laptop")
        #expect(principal.scopes == .chat)
    }

    @Test func takesTheSchemeInAnyCaseAndAnyNumberOfSpaces() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        #expect(try await bench.authenticate("bEARER   \(key.secret.reveal())") != nil)
        #expect(try await bench.authenticate(["aUTHORIZATION": "Bearer \(key.secret.reveal())"]) != nil)
    }

    @Test func tellsTwoUsersApart() async throws {
        let bench = try await AuthBench()
        let (alice, aliceKey) = try await bench.user("alice")
        let (bob, bobKey) = try await bench.user("bob")
        for _ in 0..<2 {
            #expect(try await bench.authenticate(aliceKey.secret)?.userID == alice.id)
            #expect(try await bench.authenticate(bobKey.secret)?.userID == bob.id)
        }
    }

    @Test func refusesARequestWithoutAKey() async throws {
        let bench = try await AuthBench()
        let error = try await bench.refusal()
        #expect(error.status == .unauthorized)
        #expect(error.code == "missing_api_key")
        #expect(error.type == "invalid_request_error")
        #expect(error.headers.first(name: "WWW-Authenticate") == "Bearer realm=\"turnpike\"")
    }

    @Test(arguments: ["Basic YTpi", "Bearer", "Bearer ", "Bearer     ", "", "B", "Bearertp-", "tp-abc"])
    func refusesWhatIsNoBearerTokenAsMissing(_ value: String) async throws {
        let bench = try await AuthBench()
        #expect(try await bench.refusal(value).code == "missing_api_key")
    }

    @Test func refusesWhatCannotBeAKeyWithoutALookup() async throws {
        let bench = try await AuthBench()
        let reads = bench.database.reads
        let almost = "tp-" + String(repeating: "a", count: 50)
        for token in [
            "sk-proj-abc", "tp-", almost, almost + "é", almost + "\u{0}", almost + "a\u{7F}", "tp-" + "/../" + almost,
            String(repeating: "k", count: 1 << 20), almost + String(repeating: "a", count: 1 << 20), "ключ", "\u{FFFD}",
            "' OR '1'='1", almost + " ", almost + "a b",
        ] {
            let error = try await bench.refusal("Bearer " + token)
            #expect(error.code == "invalid_api_key")
            #expect(error.status == .unauthorized)
        }
        #expect(bench.database.reads == reads)
        #expect(bench.verifier.remembered == 0)
    }

    @Test func refusesSeveralAuthorizationHeaders() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        let value = "Bearer \(key.secret.reveal())"
        #expect(try await bench.refusal(value, value).code == "invalid_api_key")
        #expect(try await bench.refusal("Basic YTpi", value).code == "invalid_api_key")
    }

    @Test func refusesAnUnknownKeyAndRemembersThat() async throws {
        let bench = try await AuthBench()
        let key = APIKey.generate().key
        let error = try await bench.refusal(key)
        #expect(error.code == "invalid_api_key")
        #expect(error.message == "Incorrect API key provided.")
        #expect(error.headers.first(name: "WWW-Authenticate") == "Bearer realm=\"turnpike\", error=\"invalid_token\"")
        let reads = bench.database.reads
        _ = try await bench.refusal(key)
        #expect(bench.database.reads == reads)
    }

    @Test func refusesAnExpiredKeyFromTheMomentOfItsExpiry() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice", expires: bench.time.now.advanced(by: .seconds(1)))
        #expect(try await bench.authenticate(key.secret) != nil)
        bench.time.advance(by: .seconds(1))
        #expect(try await bench.refusal(key.secret).code == "api_key_expired")
    }

    @Test func asksTheDatabaseOnceForAKeyInUse() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        let reads = bench.database.reads
        for _ in 0..<10 { _ = try await bench.authenticate(key.secret) }
        #expect(bench.database.reads == reads + 1)
    }

    @Test func showsNoSecretInErrorsAndDescriptions() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        let presented = try PresentedKey(["Authorization": "Bearer \(key.secret.reveal())"])
        var shown = [
            String(reflecting: key), String(describing: presented), String(reflecting: presented),
            String(reflecting: try bench.keys.load()),
            String(reflecting: HashKeySource.Place("x" + AuthBench.secret.reveal())),
        ]
        var dumped = ""
        dump(key, to: &dumped)
        dump(presented, to: &dumped)
        dump(try bench.keys.load(), to: &dumped)
        dump(bench.keys, to: &dumped)
        shown.append(dumped)
        bench.database.isDown = true
        shown.append(String(reflecting: try await bench.refusal(key.secret)))
        bench.database.isDown = false
        try await bench.store.revokeKey(key.info.id, of: key.info.userID)
        shown.append(String(reflecting: try await bench.refusal(key.secret)))
        let secretPart = key.secret.reveal().dropFirst(11)
        for text in shown {
            #expect(!text.contains(secretPart))
            #expect(!text.contains(AuthBench.secret.reveal()))
        }
    }
}
