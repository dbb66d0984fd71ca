import Conversations
import NIOCore
import NIOHTTP1
import Testing
import TurnpikeKit
import TurnpikeTesting

/// What a session makes the process hold is counted against one bound, and given back whatever the end.
@Suite struct MemoryBoundTests {
    private static let long = String(repeating: "x", count: 200_000)

    private func chain(buffered: Int = 64 << 20) async throws -> ChainFixture {
        let chain = try await ChainFixture(buffered: buffered)
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"s"}"#)
        return chain
    }

    private func fill(_ chain: ChainFixture, turns: Int) async throws {
        for _ in 0..<turns {
            chain.upstream.say("ok")
            _ = try await chain.send(.chat("s", [user(Self.long)]))
        }
    }

    @Test func aHistoryThatDoesNotFitBesideWhatIsHeldIsRefusedForNow() async throws {
        let chain = try await chain(buffered: 2 << 20)
        try await fill(chain, turns: 4)
        let others = BufferReservation(chain.budget)
        try others.take(1 << 20)
        let refusal = try await chain.refusal(.chat("s", [user("next")]))
        #expect(refusal?.code == "server_overloaded" && refusal?.status == .serviceUnavailable)
        #expect(refusal?.headers.first(name: "Retry-After") == "1")
        #expect(chain.budget.usedBytes == 1 << 20, "What was read until then is given back.")
        others.release()
        chain.upstream.say("fits")
        #expect(try await chain.send(.chat("s", [user("next")])).status == 200)
        #expect(chain.upstream.last.messages.count == 9)
        #expect(chain.budget.usedBytes == 0)
    }

    @Test func aHistoryThatNoRequestCouldCarryIs413() async throws {
        let chain = try await ChainFixture(bodyLimit: 500_000)
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"s"}"#)
        try await fill(chain, turns: 2)
        let fits = try await chain.send(.chat("s", [user(Self.long)]))
        #expect(fits.status == 200)
        let refusal = try await chain.refusal(.chat("s", [user("next")]))
        #expect(refusal?.code == "history_too_large" && refusal?.status == .payloadTooLarge)
        #expect(chain.budget.usedBytes == 0)
    }

    @Test func whatACapturedStreamKeepsIsCountedWhileItGrows() async throws {
        let chain = try await chain(buffered: 1 << 20)
        let words = (0..<10).map { _ in chunk(#"{"content":"\#(Self.long)"}"#) }
        chain.upstream.reply(.events([chunk(#"{"role":"assistant","content":""}"#)] + words + stream("x").dropFirst()))
        var call = Call.chat("s", [user("hi")], #""stream":true"#)
        call.pieces = .byEvent
        let answer = try await chain.send(call)
        #expect(answer.error?.code == "server_overloaded")
        #expect(!answer.body.contains("[DONE]"))
        #expect(answer.facts.captureStatus == "incomplete", "What the client saw is kept.")
        #expect(chain.budget.usedBytes == 0)
    }

    @Test(arguments: [AnswerEnd.complete, .failed(after: 250_000), .clientLeft(after: 250_000)])
    func everyEndOfAStreamGivesBackWhatItHeld(end: AnswerEnd) async throws {
        let chain = try await chain()
        chain.upstream.reply(.events(stream(Self.long, Self.long)))
        var call = Call.chat("s", [user(Self.long)], #""stream":true"#)
        call.end = end
        _ = try await chain.send(call)
        #expect(chain.budget.usedBytes == 0)
    }

    @Test func aPageLongerThanAllThatMayBeHeldIsGivenWholeAndPieceByPiece() async throws {
        let chain = try await chain(buffered: 16 << 20)
        for _ in 0..<24 {
            chain.upstream.say("ok")
            _ = try await chain.send(.chat("s", [user(Self.long), user(Self.long)]))
        }
        let page = try await chain.route(.GET, "/v1/chat/sessions/s/messages?limit=1000")
        #expect(page.body.utf8.count > 18 << 20 && page.body.contains(#""has_more":false"#))
        #expect(page.body.components(of: #""object":"chat.session.message""#) == 72)
        #expect(chain.budget.usedBytes == 0)
    }

    @Test func aMessageThatIsLongerThanAPieceCutsNoPageShort() async throws {
        let chain = try await chain()
        let huge = String(repeating: "y", count: 9 << 20)
        _ = try await chain.send(.chat("s", [user(huge)]))
        let page = try await chain.route(.GET, "/v1/chat/sessions/s/messages")
        #expect(page.body.utf8.count > 18 << 20 && page.body.contains(#""has_more":false"#))
        #expect(page.body.components(of: #""object":"chat.session.message""#) == 2)
    }

    /// One message alone, as a branch that was left, and in an export: what is read fits, and what is made of it does not.
    @Test(arguments: ["messages/1", "branches/3", "export"])
    func theCopiesInWhichAMessageIsShownAreCounted(_ place: String) async throws {
        let chain = try await chain(buffered: 4 << 20)
        try await fill(chain, turns: 1)
        if place.hasPrefix("branches") {
            _ = try await chain.send(.chat("s", [user("again")], #""history_mode":"replace""#))
        }
        #expect(try await chain.route(.GET, "/v1/chat/sessions/s/\(place)").body.utf8.count > Self.long.utf8.count)
        let others = BufferReservation(chain.budget)
        try others.take((4 << 20) - 4 * Self.long.utf8.count)
        await #expect(throws: GatewayError.self) { try await chain.route(.GET, "/v1/chat/sessions/s/\(place)") }
        #expect(chain.budget.usedBytes == (4 << 20) - 4 * Self.long.utf8.count)
    }

    @Test func aPageThatDoesNotFitBesideWhatIsHeldIsRefusedForNow() async throws {
        let chain = try await chain(buffered: 4 << 20)
        try await fill(chain, turns: 5)
        let others = BufferReservation(chain.budget)
        try others.take(3 << 20)
        await #expect(throws: GatewayError.self) { try await chain.route(.GET, "/v1/chat/sessions/s/messages") }
        #expect(chain.budget.usedBytes == 3 << 20)
    }
}

extension String {
    /// How often `part` occurs.
    fileprivate func components(of part: String) -> Int { ranges(of: part).count }
}
