import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

@Suite struct CaptureTests {
    private func chain(
        _ settings: [String: [(String, String)]] = [:], asksForUsage: Bool = false
    ) async throws -> ChainFixture {
        let chain = try await ChainFixture(settings, asksForUsage: asksForUsage)
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"s"}"#)
        return chain
    }

    private func stored(_ chain: ChainFixture) async throws -> [String] {
        try await chain.store.read { reader in
            guard let session = try reader.session(SessionReference("s"), of: chain.alice.userID) else { return [] }
            return try reader.messages(of: session.key, MessageQuery()).elements.map { String(buffer: $0.body) }
        }
    }

    private func ask(_ more: String = #""stream":true"#, _ text: String = "hi") -> Call {
        .chat("s", [user(text)], more)
    }

    // MARK: Plain answers

    @Test func aPlainAnswerIsStoredAndPassesByteForByte() async throws {
        let chain = try await chain()
        let body = "  " + completion("hello") + "\n"
        chain.upstream.reply(.json(body))
        let answer = try await chain.send(ask(""))
        #expect(answer.body == body)
        #expect(try await stored(chain) == [user("hi"), assistant("hello")])
        #expect(answer.facts.captureStatus == "complete")
        #expect(answer.facts.usage?.total == 10)
        #expect(chain.upstream.last.head.headers["Accept-Encoding"] == ["identity"])
    }

    @Test(arguments: ["application/json ; charset=utf-8", "Application/JSON\t;charset=utf-8"])
    func aContentTypeMayHaveSpacesBeforeItsParameters(type: String) async throws {
        let chain = try await chain()
        chain.upstream.reply(.raw(completion("hello"), headers: ["Content-Type": type]))
        _ = try await chain.send(ask(""))
        #expect(try await stored(chain) == [user("hi"), assistant("hello")])
    }

    @Test(arguments: [("length", "incomplete"), ("content_filter", "incomplete"), ("tool_calls", "complete")])
    func theStatusIsWhatTheFinishReasonSays(reason: String, status: String) async throws {
        let chain = try await chain()
        chain.upstream.reply(.json(completion("x", finish: reason)))
        #expect(try await chain.send(ask("")).facts.captureStatus == status)
        chain.upstream.reply(.events(stream("x", finish: reason)))
        #expect(try await chain.send(ask()).facts.captureStatus == status)
    }

    @Test func withSeveralChoicesTheFirstEntersTheHistory() async throws {
        let chain = try await chain()
        let body =
            #"{"choices":[{"index":1,"message":\#(assistant("b")),"finish_reason":"stop"},"#
            + #"{"index":0,"message":\#(assistant("a")),"finish_reason":"stop"}]}"#
        chain.upstream.reply(.json(body))
        _ = try await chain.send(ask(#""n":2"#))
        #expect(try await stored(chain) == [user("hi"), assistant("a")])
    }

    @Test(arguments: [400, 401, 429, 500, 503])
    func anErrorPassesUntouchedAndStoresNothing(status: Int) async throws {
        let chain = try await chain()
        let body = #"{"error":{"message":"no"}}"#
        chain.upstream.reply(.json(body, status: .init(statusCode: status)))
        let answer = try await chain.send(ask(""))
        #expect(answer.status == status && answer.body == body)
        #expect(try await stored(chain).isEmpty)
    }

    @Test(arguments: ["", "not json", "[]", #"{"choices":[]}"#, #"{"error":{"message":"x"}}"#, completion("")])
    func anAnswerWithoutOutputStoresNothing(body: String) async throws {
        let chain = try await chain()
        chain.upstream.reply(.json(body))
        #expect(try await chain.send(ask("")).body == body)
        #expect(try await stored(chain).isEmpty)
    }

    @Test func anAnswerThatIsNoJSONPassesUntouched() async throws {
        let chain = try await chain()
        chain.upstream.reply(.raw("plain", headers: ["Content-Type": "text/plain", "Content-Length": "5"]))
        let answer = try await chain.send(ask(""))
        #expect(answer.body == "plain" && answer.headers["Content-Length"] == ["5"])
        chain.upstream.reply(
            .raw(completion("z"), headers: ["Content-Type": "application/json", "Content-Encoding": "gzip"]))
        #expect(try await chain.send(ask("")).body == completion("z"))
        #expect(try await stored(chain).isEmpty)
    }

    @Test func anAnswerThatCannotBeStoredIsNotGiven() async throws {
        let chain = try await chain()
        let database = chain.database
        chain.upstream.reply(.after({ database.fail(atStep: 0, with: .unavailable) }, "lost"))
        let error = try await chain.refusal(ask(""))
        #expect(error?.code == "turn_not_stored" && error?.status == .serviceUnavailable)
        #expect(try await stored(chain).isEmpty)
    }

    @Test(arguments: 0..<12) func aFaultAtAnyStepOfTheCommitLosesAndDoublesNothing(step: Int) async throws {
        let chain = try await chain()
        let database = chain.database
        chain.upstream.reply(.after({ database.fail(atStep: step, with: .retryTransaction) }, "kept"))
        let answer = try await chain.send(ask(""))
        _ = database.withdraw()
        #expect(answer.status == 200)
        #expect(try await stored(chain) == [user("hi"), assistant("kept")])
    }

    @Test(arguments: [true, false]) func aCommitWhoseAnswerIsLostIsOneTurn(happened: Bool) async throws {
        let chain = try await chain()
        let database = chain.database
        chain.upstream.reply(.after({ database.failNextCommit(happened ? .happened : .lost) }, "kept"))
        _ = try await chain.send(ask(""))
        #expect(try await stored(chain) == [user("hi"), assistant("kept")])
    }

    @Test func aTurnOfASessionThatIsGoneIsDiscardedAndTheAnswerGiven() async throws {
        let chain = try await chain()
        chain.upstream.reply(.after({ _ = try await chain.route(.DELETE, "/v1/chat/sessions/s") }, "late"))
        let answer = try await chain.send(ask(""))
        #expect(answer.body == completion("late"))
        #expect(answer.facts.captureStatus == "session_deleted")
    }

    @Test func newMessagesThatAreTooLargeAreRefusedBeforeTheUpstreamIsAsked() async throws {
        let chain = try await chain(["capture": [("max_turn", "64")]])
        let error = try await chain.refusal(.chat("s", [user(String(repeating: "x", count: 64))]))
        #expect(error?.status == .payloadTooLarge)
        #expect(chain.upstream.seen.isEmpty)
    }

    @Test func aPlainAnswerThatIsTooLargeIsAnError() async throws {
        let chain = try await chain(["capture": [("max_answer", "1KB")]])
        chain.upstream.say(String(repeating: "x", count: 2_000))
        #expect(try await chain.refusal(ask(""))?.code == "answer_too_large")
        #expect(try await stored(chain).isEmpty)
    }

    @Test func whatAnAssistantSpokeIsKeptByItsIDAndWords() async throws {
        let chain = try await chain()
        let spoken = #"{"id":"audio_1","data":"UklGRg==","expires_at":9,"transcript":"Hello"}"#
        let message = #"{"role":"assistant","content":null,"audio":\#(spoken)}"#
        chain.upstream.reply(.json(#"{"choices":[{"index":0,"message":\#(message),"finish_reason":"stop"}]}"#))
        #expect(try await chain.send(ask("")).body.contains("UklGRg=="))
        #expect(try await stored(chain).last?.contains(spoken.replacing(#""data":"UklGRg==","#, with: "")) == true)
        _ = try await chain.send(ask("", "and?"))
        #expect(!chain.upstream.last.body.contains("UklGRg==") && chain.upstream.last.body.contains("audio_1"))
    }

    // MARK: Streams

    @Test(arguments: Pieces.allCases) func aStreamPassesByteForByteAndIsStored(pieces: Pieces) async throws {
        let chain = try await chain()
        let events = [": ping\r\n\r\n"] + stream("Hel", "lo", " wörld 🙂")
        chain.upstream.reply(.events(events))
        var call = ask()
        call.pieces = pieces
        let answer = try await chain.send(call)
        #expect(answer.body == events.joined())
        #expect(answer.error == nil)
        #expect(try await stored(chain) == [user("hi"), assistant("Hello wörld 🙂")])
        #expect(answer.facts.captureStatus == "complete")
    }

    @Test(arguments: Pieces.allCases) func theEndIsWithheldUntilTheTurnIsCommitted(pieces: Pieces) async throws {
        let chain = try await chain()
        let usage = #"data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"# + "\n\n"
        var events = stream("a", "b")
        events.insert(usage, at: events.count - 1)
        chain.upstream.reply(.events(events))
        var call = ask()
        call.pieces = pieces
        let answer = try await chain.send(call)
        #expect(answer.early == events.dropLast(3).joined())
        #expect(answer.body == events.joined())
        #expect(answer.facts.usage?.total == 7)
    }

    @Test func aStreamWhoseTurnCannotBeStoredDoesNotEndCleanly() async throws {
        let chain = try await chain()
        let events = stream("a")
        chain.upstream.reply(.events(events))
        let database = chain.database
        // Two reads of the session, one of its messages; what follows belongs to the commit.
        database.fail(atStep: 3, with: .unavailable)
        let answer = try await chain.send(ask())
        #expect(!database.withdraw())
        #expect(answer.error?.code == "turn_not_stored")
        #expect(!answer.body.contains("[DONE]") && !answer.body.contains(#""finish_reason":"stop""#))
        #expect(answer.facts.captureStatus == "not_stored")
    }

    @Test func toolCallsAreStoredAsOneMessage() async throws {
        let chain = try await chain()
        let parts = [
            chunk(#"{"role":"assistant","content":null}"#),
            chunk(#"{"tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"f","arguments":""}}]}"#),
            chunk(#"{"tool_calls":[{"index":0,"function":{"arguments":"[{\"a\":1}"}}]}"#),
            chunk(#"{"tool_calls":[{"index":0,"function":{"arguments":",2]"}}]}"#), chunk("{}", finish: "tool_calls"),
            "data: [DONE]\n\n",
        ]
        chain.upstream.reply(.events(parts))
        _ = try await chain.send(ask())
        let call = try await stored(chain).last ?? ""
        #expect(call.contains(#""arguments":"[{\"a\":1},2]""#) && call.contains(#""content":null"#))
        let result = #"{"role":"tool","tool_call_id":"t1","content":"2"}"#
        // The client sends the round back in its own spelling, and it is recognised.
        let spelled =
            #"{"tool_calls":[{"function":{"arguments":"[{\"a\":1}, 2]","name":"f"},"id":"t1","type":"function"}],"role":"assistant"}"#
        let answer = try await chain.send(.chat("s", [user("hi"), spelled, result]))
        #expect(answer.history == "injected=0; dropped=0; reason=client_history")
        #expect(try await stored(chain).count == 4)
    }

    @Test func nullContentIsNeverStoredAsText() async throws {
        let chain = try await chain()
        chain.upstream.reply(
            .events([
                chunk(#"{"content":null}"#), chunk(#"{"content":"x"}"#), chunk(#"{"content":null}"#, finish: "stop"),
            ]))
        _ = try await chain.send(ask())
        #expect(try await stored(chain).last == assistant("x"))
    }

    @Test func everyChoiceHasToEndBeforeTheEndIsWithheld() async throws {
        let chain = try await chain()
        let events = [
            chunk(#"{"content":"a"}"#), chunk(#"{"content":"b"}"#, index: 1), chunk("{}", finish: "stop"),
            chunk(#"{"content":"c"}"#, index: 1), chunk("{}", finish: "stop", index: 1), "data: [DONE]\n\n",
        ]
        chain.upstream.reply(.events(events))
        let answer = try await chain.send(ask(#""stream":true,"n":2"#))
        #expect(answer.early == events.prefix(4).joined())
        #expect(try await stored(chain).last == assistant("a"))
    }

    @Test func whatArrivedBeforeTheClientLeftIsKeptAsCancelled() async throws {
        let chain = try await chain()
        let events = stream("one ", "two ", "three")
        for count in 0...events.joined().utf8.count {
            _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"c\#(count)"}"#)
            chain.upstream.reply(.events(events))
            var call = Call.chat("c\(count)", [user("hi")], #""stream":true"#)
            call.end = .clientLeft(after: count)
            let answer = try await chain.send(call)
            let arrived = String(events.joined().utf8.prefix(count)) ?? ""
            let words = ["one ", "two ", "three"].prefix {
                arrived.contains(#"{"content":"\#($0)"},"finish_reason":null}]}"# + "\n\n")
            }
            let isWhole = arrived.contains(#""finish_reason":"stop"}]}"# + "\n\n")
            #expect(answer.facts.captureStatus == (words.isEmpty ? nil : isWhole ? "complete" : "cancelled"))
            let messages = try await chain.route(.GET, "/v1/chat/sessions/c\(count)/messages").body
            #expect(messages.contains(#""total":\#(words.isEmpty ? 0 : 2)"#))
            if !words.isEmpty { #expect(messages.contains(#""content":"\#(words.joined())""#)) }
        }
    }

    @Test func aRetryTakesThePlaceOfTheAnswerThatWasCutOff() async throws {
        let chain = try await chain()
        let events = stream("one ", "two")
        chain.upstream.reply(.events(events))
        var call = ask()
        call.end = .clientLeft(after: events.prefix(2).joined().utf8.count)
        _ = try await chain.send(call)
        #expect(try await stored(chain) == [user("hi"), assistant("one ")])
        chain.upstream.reply(.events(events))
        let retry = try await chain.send(ask().with("X-Stainless-Retry-Count", "1"))
        #expect(retry.body == events.joined())
        #expect(chain.upstream.last.messages == [user("hi")])
        #expect(try await stored(chain) == [user("hi"), assistant("one two")])
    }

    @Test func aPartialAnswerIsReplayedAsTheUserSawIt() async throws {
        let chain = try await chain()
        let events = stream("one ", "two")
        chain.upstream.reply(.events(events))
        var call = ask()
        call.end = .clientLeft(after: events.prefix(2).joined().utf8.count)
        _ = try await chain.send(call)
        _ = try await chain.send(ask("", "go on"))
        #expect(chain.upstream.last.messages == [user("hi"), assistant("one "), user("go on")])
    }

    @Test func anUpstreamThatBreaksOffIsAnUpstreamError() async throws {
        let chain = try await chain()
        let events = stream("one ", "two ")
        for count in 0...events.joined().utf8.count {
            _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"c\#(count)"}"#)
            chain.upstream.reply(.events(events))
            var call = Call.chat("c\(count)", [user("hi")], #""stream":true"#)
            call.end = .failed(after: count)
            let answer = try await chain.send(call)
            #expect(answer.error?.code == "upstream_broke")
            let arrived = String(events.joined().utf8.prefix(count)) ?? ""
            let hasText = arrived.contains(#"{"content":"one "},"finish_reason":null}]}"# + "\n\n")
            let isWhole = arrived.contains(#""finish_reason":"stop"}]}"# + "\n\n")
            #expect(answer.facts.captureStatus == (hasText ? (isWhole ? "complete" : "upstream_error") : nil))
        }
    }

    @Test func aStreamThatEndsWithoutAFinishReasonIsAnUpstreamError() async throws {
        let chain = try await chain()
        let events = [chunk(#"{"role":"assistant","content":"half"}"#), "data: [DONE]\n\n"]
        chain.upstream.reply(.events(events))
        let answer = try await chain.send(ask())
        #expect(answer.body == events.joined())
        #expect(answer.early == events[0])
        #expect(answer.facts.captureStatus == "upstream_error")
        #expect(try await stored(chain).last == assistant("half"))
    }

    @Test func anErrorInTheStreamPassesAndIsNeverComplete() async throws {
        let chain = try await chain()
        let error = #"data: {"error":{"message":"overloaded","type":"server_error"}}"# + "\n\n"
        let events = [chunk(#"{"content":"half"}"#), error]
        chain.upstream.reply(.events(events))
        let answer = try await chain.send(ask())
        #expect(answer.body == events.joined())
        #expect(answer.facts.captureStatus == "upstream_error")
    }

    @Test func aPartialAnswerLeavesOutToolCallsThatWereCutOff() async throws {
        let chain = try await chain()
        let events = [
            chunk(#"{"role":"assistant","content":"let me see"}"#),
            chunk(
                #"{"tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"f","arguments":"[1"}}]}"#),
        ]
        chain.upstream.reply(.events(events))
        var call = ask()
        call.end = .clientLeft(after: events.joined().utf8.count)
        _ = try await chain.send(call)
        #expect(try await stored(chain).last == assistant("let me see"))
    }

    @Test func dataThatIsNoJSONPasses() async throws {
        let chain = try await chain()
        let events = ["data: hello\n\n", "event: ping\ndata: {}\n\n"] + stream("a")
        chain.upstream.reply(.events(events))
        #expect(try await chain.send(ask()).body == events.joined())
        #expect(try await stored(chain).last == assistant("a"))
    }

    @Test func aStreamBeyondTheLimitEndsWithAnErrorAndKeepsWhatWasHeld() async throws {
        let chain = try await chain(["capture": [("max_answer", "2KB")]])
        chain.upstream.reply(.events(stream("first", String(repeating: "x", count: 8_000), "last")))
        var call = ask()
        call.pieces = .byEvent
        let answer = try await chain.send(call)
        #expect(answer.error?.code == "answer_too_large")
        #expect(!answer.body.contains("[DONE]"))
        #expect(answer.facts.captureStatus == "incomplete")
    }

    // MARK: Usage

    @Test func endlessTinyEventsAfterTheEndAreNotHeld() async throws {
        let chain = try await chain()
        chain.upstream.reply(.events(stream("x") + [String(repeating: "\n", count: 50_000)]))
        let answer = try await chain.send(ask())
        #expect(answer.error?.code == "upstream_protocol_error")
        #expect(try await stored(chain) == [user("hi"), #"{"role":"assistant","content":"x"}"#])
    }

    @Test(arguments: Pieces.allCases) func usageIsAskedForAndTakenOutAgain(pieces: Pieces) async throws {
        let chain = try await chain(asksForUsage: true)
        let usage =
            #"data: {"id":"c1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#
        let null = #","usage":null"#
        chain.upstream.reply(
            .events([
                chunk(#"{"content":"a"}"#, more: null), chunk("{}", finish: "stop", more: null), usage + "\n\n",
                "data: [DONE]\n\n",
            ]))
        var call = ask(#""stream":true,"stream_options":{"x":1}"#)
        call.pieces = pieces
        let answer = try await chain.send(call)
        #expect(chain.upstream.last.body.contains(#""stream_options":{"x":1,"include_usage":true}"#))
        #expect(answer.body == chunk(#"{"content":"a"}"#) + chunk("{}", finish: "stop") + "data: [DONE]\n\n")
        #expect(answer.facts.usage?.total == 7)
    }

    @Test func aClientThatAsksForUsageItselfGetsIt() async throws {
        let chain = try await chain(asksForUsage: true)
        let usage = #"data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"# + "\n\n"
        let events = Array(stream("a").dropLast()) + [usage, "data: [DONE]\n\n"]
        chain.upstream.reply(.events(events))
        let answer = try await chain.send(ask(#""stream":true,"stream_options":{"include_usage":true}"#))
        #expect(answer.body == events.joined())
    }

    @Test func withoutASessionNothingIsAskedForOrHeld() async throws {
        let chain = try await chain()
        let events = stream("a", "b")
        chain.upstream.reply(.events(events))
        let call = Call(#"{"model":"m","stream":true,"messages":[\#(user("hi"))]}"#)
        let answer = try await chain.send(call)
        #expect(chain.upstream.last.body == call.body)
        #expect(answer.early == events.joined())
    }

    @Test(arguments: [#""choices":[],"#, ""])
    func withoutASessionUsageIsHiddenAgainAndNothingIsHeld(choices: String) async throws {
        let chain = try await chain(asksForUsage: true)
        let usage =
            "data: {" + choices + #""usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"# + "\n\n"
        let events = stream("a", "b")
        chain.upstream.reply(.events(Array(events.dropLast()) + [usage, "data: [DONE]\n\n"]))
        let answer = try await chain.send(Call(#"{"model":"m","stream":true,"messages":[\#(user("hi"))]}"#))
        #expect(chain.upstream.last.body.contains(#""stream_options":{"include_usage":true}"#))
        #expect(answer.early == events.joined())
    }
}
