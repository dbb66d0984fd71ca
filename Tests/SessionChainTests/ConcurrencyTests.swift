import Conversations
import NIOCore
import NIOHTTP1
import Testing
import TurnpikeKit

@Suite struct ConcurrencyTests {
    private func chain(_ policy: String, wait: String = "60s") async throws -> ChainFixture {
        let chain = try await ChainFixture(["session": [("concurrency", policy), ("concurrency_wait", wait)]])
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"s"}"#)
        return chain
    }

    @Test func twoAtOnceAreBothAnsweredByDefault() async throws {
        let chain = try await chain("allow")
        chain.upstream.reply(.after({ _ = try await chain.send(.chat("s", [user("inner")])) }, "outer"))
        #expect(try await chain.send(.chat("s", [user("outer")])).status == 200)
        #expect(chain.upstream.seen.count == 2)
    }

    @Test func theSecondOfTwoAtOnceIsRefused() async throws {
        let chain = try await chain("reject")
        chain.upstream.reply(
            .after(
                {
                    let error = try await chain.refusal(.chat("s", [user("inner")]))
                    #expect(error?.code == "session_locked" && error?.status == .conflict)
                }, "outer"))
        _ = try await chain.send(.chat("s", [user("outer")]))
        #expect(chain.upstream.seen.count == 1)
        #expect(try await chain.send(.chat("s", [user("next")])).status == 200)
    }

    @Test func theSecondOfTwoAtOnceWaitsAndSeesTheFirst() async throws {
        let chain = try await chain("serialize")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<10 {
                group.addTask { _ = try await chain.send(.chat("s", [user("n\(number)")])) }
            }
            try await group.waitForAll()
        }
        // Each saw all turns before it: none was planned beside another.
        #expect(chain.upstream.seen.map(\.messages.count) == (0..<10).map { $0 * 2 + 1 })
    }

    @Test func whoWaitsTooLongIsRefused() async throws {
        let chain = try await chain("serialize", wait: "20ms")
        chain.upstream.reply(
            .after(
                {
                    let refusal = try await chain.refusal(.chat("s", [user("inner")]))
                    #expect(refusal?.code == "session_locked")
                }, "outer"))
        _ = try await chain.send(.chat("s", [user("outer")]))
        #expect(chain.upstream.seen.count == 1)
    }

    @Test func otherSessionsAreNotHeldUp() async throws {
        let chain = try await chain("reject")
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"z"}"#)
        chain.upstream.reply(
            .after(
                {
                    let answer = try await chain.send(.chat("z", [user("hi")]))
                    #expect(answer.status == 200)
                }, "outer"))
        _ = try await chain.send(.chat("s", [user("outer")]))
    }
}
