import NIOCore
import NIOHTTP1
import OpenAIWire
import Testing
import TurnpikeKit
import TurnpikeTesting

/// What is not stored, or not as it came, is told.
@Suite struct CaptureHonestyTests {
    private func chain() async throws -> ChainFixture {
        let chain = try await ChainFixture()
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"s"}"#)
        return chain
    }

    private func messages(_ chain: ChainFixture) async throws -> String {
        try await chain.route(.GET, "/v1/chat/sessions/s/messages").body
    }

    @Test(
        arguments: [
            (["Content-Type": "application/json", "Content-Encoding": "gzip"], "content_encoding"),
            (["Content-Type": "text/event-stream", "Content-Encoding": "br"], "content_encoding"),
            (["Content-Type": "text/html"], "content_type"), ([:], "content_type"),
            (["Content-Type": "application/json"], "not_a_completion"),
        ] as [(HTTPHeaders, String)])
    func anAnswerThatIsNotStoredSaysWhy(headers: HTTPHeaders, reason: String) async throws {
        let chain = try await chain()
        chain.upstream.reply(.raw("what it is", headers: headers))
        let answer = try await chain.send(.chat("s", [user("hi")]))
        #expect(answer.status == 200 && answer.body == "what it is")
        #expect(answer.headers["x-turnpike-capture"] == ["skipped; reason=\(reason)"])
        #expect(answer.facts.captureStatus == "skipped")
        #expect(try await messages(chain).contains(#""total":0"#))
    }

    @Test(arguments: [#"{"error":{"message":"no"}}"#, message(#"{"role":"assistant","content":""}"#)])
    func anAnswerWithoutOutputSaysSo(body: String) async throws {
        let chain = try await chain()
        chain.upstream.reply(.json(body))
        let answer = try await chain.send(.chat("s", [user("hi")]))
        #expect(answer.body == body)
        #expect(answer.headers["x-turnpike-capture"] == ["skipped; reason=no_output"])
    }

    @Test func aStoredAnswerSaysNothing() async throws {
        let chain = try await chain()
        #expect(try await chain.send(.chat("s", [user("hi")])).headers["x-turnpike-capture"].isEmpty)
    }

    @Test func anEmptyStreamIsSkipped() async throws {
        let chain = try await chain()
        chain.upstream.reply(.events([chunk("{}", finish: "stop"), "data: [DONE]\n\n"]))
        let answer = try await chain.send(.chat("s", [user("hi")], #""stream":true"#))
        #expect(answer.facts.captureStatus == "skipped")
    }

    @Test(arguments: ["user", "system", "tool", "", "Assistant"])
    func whatAnswersIsTheAssistant(role: String) async throws {
        let chain = try await chain()
        chain.upstream.reply(.json(message(#"{"role":"\#(role)","content":"plain"}"#)))
        _ = try await chain.send(.chat("s", [user("one")]))
        chain.upstream.reply(.events([chunk(#"{"role":"\#(role)","content":"streamed"}"#)] + stream("").dropFirst()))
        _ = try await chain.send(.chat("s", [user("two")], #""stream":true"#))
        chain.upstream.say("ok")
        _ = try await chain.send(.chat("s", [user("three")]))
        #expect(
            chain.upstream.last.messages == [
                user("one"), assistant("plain"), user("two"), assistant("streamed"), user("three"),
            ])
    }

    @Test func textThatIsNoUTF8IsStoredAsClientsShowIt() async throws {
        let chain = try await chain()
        let broken = chunk(#"{"content":"caf?"}"#)
        chain.upstream.reply(
            .bytes(
                bytes(stream("", finish: "length").first ?? "") + bytes(broken, 0xE9)
                    + bytes(chunk("{}", finish: "stop") + "data: [DONE]\n\n"), "text/event-stream"))
        let answer = try await chain.send(.chat("s", [user("one")], #""stream":true"#))
        #expect(answer.facts.captureStatus == "complete_repaired")
        chain.upstream.reply(.bytes(bytes(completion("na?ve"), 0xEF), "application/json"))
        #expect(try await chain.send(.chat("s", [user("two")])).facts.captureStatus == "complete_repaired")
        let stored = try await messages(chain)
        #expect(stored.contains("caf\u{FFFD}") && stored.contains("na\u{FFFD}ve"))
    }

    /// The text with every `?` replaced by `byte`.
    private func bytes(_ text: String, _ byte: UInt8 = 0x3F) -> [UInt8] {
        text.utf8.map { $0 == 0x3F ? byte : $0 }
    }

    @Test(arguments: [
        #""model":"m","model":"n""#, #""model":"m","mod\u0065l":"n""#, #""model":"m","stream":false,"stream":true"#,
        #""model":"m","session_id":"a","session_id":"b""#, #""model":"m","messages":[]"#,
    ])
    func aDecisiveParameterThatStandsTwiceIsRefused(members: String) async throws {
        let chain = try await chain()
        let refusal = try await chain.refusal(Call(#"{\#(members),"messages":[\#(user("x"))]}"#))
        #expect(refusal?.code == "duplicate_parameter" && refusal?.status == .badRequest)
        #expect(refusal?.param != nil && chain.upstream.seen.isEmpty)
    }
}
