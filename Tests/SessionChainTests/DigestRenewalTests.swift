import NIOHTTP1
import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

/// Sessions whose digests an earlier release made by other rules go on as if nothing had happened.
@Suite struct DigestRenewalTests {
    private static let said = (0..<3).flatMap { [user("q\($0)"), assistant("ok")] }

    /// A session of three turns of which the digests of the first `count` messages are an earlier release's.
    private func chain(old count: Int) async throws -> ChainFixture {
        let chain = try await ChainFixture(["session": [("unknown_in_body", "create")]])
        for number in 0..<3 { _ = try await chain.send(.chat("s", [user("q\(number)")])) }
        try await chain.database.write { connection in
            _ = try connection.execute(
                "UPDATE messages SET digest_version = 0, digest = zeroblob(32) WHERE seq <= \(count)")
        }
        return chain
    }

    private func stored(_ chain: ChainFixture, _ count: Int) async throws -> Bool {
        try await chain.route(.GET, "/v1/chat/sessions/s/messages").body.contains("\"total\":\(count)")
    }

    @Test(arguments: 0...6) func whatOverlapsIsRecognised(old count: Int) async throws {
        let chain = try await chain(old: count)
        let all = Self.said + [user("more")]
        let whole = try await chain.send(.chat("s", all))
        #expect(whole.history?.contains("superseded") == false)
        #expect(chain.upstream.last.messages == all)
        #expect(try await stored(chain, 8))
        let window = try await chain.send(
            .chat("s", Array(Self.said.suffix(2)) + [user("more"), assistant("ok"), user("x")]))
        #expect(window.history?.hasPrefix("injected=4;") == true)
        #expect(try await stored(chain, 10))
    }

    @Test(arguments: 0...6) func anEditIsSeenWhereItIs(old count: Int) async throws {
        let chain = try await chain(old: count)
        let edited = Array(Self.said.prefix(4)) + [user("other")]
        let answer = try await chain.send(.chat("s", edited))
        #expect(answer.history?.contains("superseded=2;") == true)
        #expect(try await stored(chain, 6))
    }

    /// A database that fails at any step of it leaves everything as it was.
    @Test func aFaultAtAnyStepIsOneRefusedRequest() async throws {
        var step = 0
        while true {
            let chain = try await chain(old: 4)
            chain.database.fail(atStep: step, with: .unavailable)
            let all = Self.said + [user("more")]
            let failure = await chain.failure(of: .chat("s", all))
            guard !chain.database.withdraw() else { break }
            // Behind a commit whose answer was lost the turn is there; sent again, it is there once.
            if failure != nil { _ = try await chain.send(.chat("s", all)) }
            #expect(chain.upstream.last.messages == all)
            #expect(try await stored(chain, 8))
            step += 1
        }
        #expect(step > 3)
    }
}
