import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

@Suite struct HistoryTests {
    /// A chain with an empty session `s`.
    private func chain(
        _ settings: [String: [(String, String)]] = [:], off: Set<String> = [], session: String = #"{"id":"s"}"#
    ) async throws -> ChainFixture {
        let chain = try await ChainFixture(settings, off: off)
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: session)
        return chain
    }

    @Test func theNextRequestSeesThePreviousTurn() async throws {
        let chain = try await chain()
        chain.upstream.say("hello")
        let first = try await chain.send(.chat("s", [user("hi")]))
        #expect(first.history == "injected=0; dropped=0; reason=empty")
        let second = try await chain.send(.chat("s", [user("again")]))
        #expect(chain.upstream.last.messages == [user("hi"), assistant("hello"), user("again")])
        #expect(second.history == "injected=2; dropped=0; reason=all")
    }

    @Test func aClientThatSendsEverythingAndASessionDoublesNothing() async throws {
        let chain = try await chain()
        var view: [String] = []
        for turn in 1...5 {
            view.append(user("q\(turn)"))
            chain.upstream.say("a\(turn)")
            let answer = try await chain.send(.chat("s", view))
            #expect(chain.upstream.last.messages == view)
            #expect(answer.history?.contains("injected=0") == true)
            view.append(assistant("a\(turn)"))
        }
        let stored = try await chain.route(.GET, "/v1/chat/sessions/s/messages")
        #expect(stored.body.contains(#""total":10"#))
    }

    @Test func aRepeatedYesIsNeverDropped() async throws {
        let chain = try await chain()
        for _ in 1...3 { _ = try await chain.send(.chat("s", [user("yes")])) }
        #expect(
            chain.upstream.last.messages == [user("yes"), assistant("ok"), user("yes"), assistant("ok"), user("yes")])
    }

    @Test func everyFieldOfAMessageSurvives() async throws {
        let chain = try await chain()
        let call =
            #"{"role":"assistant","content":null,"refusal":null,"reasoning_content":"hm","x_vendor":{"a":[1.50]},"#
            + #""tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}]}"#
        let question =
            #"{"role":"user","name":"ann","content":[{"type":"text","text":"hi \u00e9"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}}],"x":1e3}"#
        chain.upstream.reply(.json(message(call, finish: "tool_calls")))
        _ = try await chain.send(.chat("s", [question]))
        let result = #"{"role":"tool","tool_call_id":"t1","content":"42"}"#
        _ = try await chain.send(.chat("s", [result]))
        #expect(chain.upstream.last.messages == [question, call, result])
    }

    @Test func otherMembersOfTheBodyStayByteForByte() async throws {
        let chain = try await chain()
        _ = try await chain.send(.chat("s", [user("hi")]))
        let body =
            #"{ "session_id":"s","model" : "m", "messages": [ {"role":"user","content":"x"} ], "seed":123456789012345678901, "u":"\u00e9" }"#
        _ = try await chain.send(Call(body))
        #expect(
            chain.upstream.last.body
                == #"{ "model" : "m", "messages": [\#(user("hi")),\#(assistant("ok")),{"role":"user","content":"x"}], "seed":123456789012345678901, "u":"\u00e9" }"#
        )
    }

    @Test func systemAndDeveloperMessagesStayFirst() async throws {
        let chain = try await chain()
        let developer = #"{"role":"developer","content":"D"}"#
        _ = try await chain.send(.chat("s", [system("S"), developer, user("hi")]))
        _ = try await chain.send(.chat("s", [user("again")]))
        #expect(chain.upstream.last.messages == [system("S"), developer, user("hi"), assistant("ok"), user("again")])
        _ = try await chain.send(.chat("s", [system("S2"), user("third")]))
        #expect(chain.upstream.last.messages.first == system("S2"))
        #expect(chain.upstream.last.messages.count == 6)
        _ = try await chain.send(.chat("s", [user("fourth")]))
        #expect(chain.upstream.last.messages.first == system("S2"))
        #expect(chain.upstream.last.messages.filter { $0.contains("system") }.count == 1)
    }

    @Test func onlyInstructionsAskForAnAnswerToTheHistory() async throws {
        let chain = try await chain()
        _ = try await chain.send(.chat("s", [user("hi")]))
        _ = try await chain.send(.chat("s", [system("sum up")]))
        #expect(chain.upstream.last.messages == [system("sum up"), user("hi"), assistant("ok")])
        #expect(try await chain.route(.GET, "/v1/chat/sessions/s/messages").body.contains(#""total":3"#))
    }

    @Test func theNewestMessagesAreKeptUpToTheLimitAndTheHeaderSaysSo() async throws {
        let chain = try await chain(["history": [("max_history_messages", "5")]])
        for turn in 1...4 { _ = try await chain.send(.chat("s", [user("q\(turn)")])) }
        let answer = try await chain.send(.chat("s", [user("q5")]))
        #expect(answer.history == "injected=4; dropped=4; reason=max_history_messages")
        #expect(
            chain.upstream.last.messages == [user("q3"), assistant("ok"), user("q4"), assistant("ok"), user("q5")])
    }

    @Test func aSessionsOwnLimitGoesBeforeTheConfiguredOne() async throws {
        let chain = try await chain(session: #"{"id":"s","max_history_messages":2}"#)
        for turn in 1...3 { _ = try await chain.send(.chat("s", [user("q\(turn)")])) }
        #expect(try await chain.send(.chat("s", [user("q4")])).history?.hasPrefix("injected=2; dropped=4") == true)
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"z","max_history_messages":0}"#)
        for _ in 1...2 { _ = try await chain.send(.chat("z", [user("q")])) }
        #expect(chain.upstream.last.messages == [user("q")])
    }

    @Test func aRunningToolRoundIsNeverCut() async throws {
        let chain = try await chain(["history": [("max_history_messages", "2")]])
        let call =
            #"{"role":"assistant","content":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]}"#
        let result = #"{"role":"tool","tool_call_id":"t","content":"r"}"#
        _ = try await chain.send(.chat("s", [user("before")]))
        for _ in 1...3 {
            chain.upstream.reply(.json(message(call, finish: "tool_calls")))
        }
        _ = try await chain.send(.chat("s", [user("go")]))
        for _ in 1...2 { _ = try await chain.send(.chat("s", [result])) }
        #expect(chain.upstream.last.messages == [user("go"), call, result, call, result])
    }

    @Test func anEditedQuestionSupersedesWhatFollowedIt() async throws {
        let chain = try await chain()
        for turn in 1...3 { _ = try await chain.send(.chat("s", [user("q\(turn)")])) }
        let edited = [user("q1"), assistant("ok"), user("other")]
        let answer = try await chain.send(.chat("s", edited))
        #expect(answer.history == "injected=0; dropped=0; superseded=4; reason=branched")
        #expect(chain.upstream.last.messages == edited)
        _ = try await chain.send(.chat("s", [user("next")]))
        #expect(chain.upstream.last.messages == edited + [assistant("ok"), user("next")])
    }

    @Test func aClientsRetryDoesNotBecomeTwoTurns() async throws {
        let chain = try await chain()
        _ = try await chain.send(.chat("s", [user("one")]))
        _ = try await chain.send(.chat("s", [user("two")]))
        let retry = try await chain.send(.chat("s", [user("two")]).with("x-stainless-retry-count", "1"))
        #expect(retry.history == "injected=2; dropped=0; retry=1; reason=all")
        #expect(chain.upstream.last.messages == [user("one"), assistant("ok"), user("two")])
        #expect(try await chain.route(.GET, "/v1/chat/sessions/s/messages").body.contains(#""total":4"#))
    }

    @Test func aRetryAfterARefusalKeepsAnEarlierTurnOfTheSameText() async throws {
        let chain = try await chain()
        _ = try await chain.send(.chat("s", [user("continue")]))
        chain.upstream.reply(.json(#"{"error":{"message":"slow down"}}"#, status: .tooManyRequests))
        #expect(try await chain.send(.chat("s", [user("continue")])).status == 429)
        _ = try await chain.send(.chat("s", [user("continue")]).with("x-stainless-retry-count", "1"))
        #expect(chain.upstream.last.messages == [user("continue"), assistant("ok"), user("continue")])
        #expect(try await chain.route(.GET, "/v1/chat/sessions/s/messages").body.contains(#""total":4"#))
    }

    /// Refused at each step before the upstream: where the session is read, and where its history is.
    @Test(arguments: 0..<4) func aRetryAfterARefusalByTurnpikeKeepsAnEarlierTurnOfTheSameText(step: Int) async throws {
        let chain = try await chain()
        _ = try await chain.send(.chat("s", [user("continue")]))
        chain.database.fail(atStep: step, with: .unavailable)
        let refusal = await chain.failure(of: .chat("s", [user("continue")]))
        if chain.database.withdraw() || chain.upstream.seen.count == 2 { return }
        #expect(refusal != nil)
        _ = try await chain.send(.chat("s", [user("continue")]).with("x-stainless-retry-count", "1"))
        #expect(chain.upstream.last.messages == [user("continue"), assistant("ok"), user("continue")])
        #expect(try await chain.route(.GET, "/v1/chat/sessions/s/messages").body.contains(#""total":4"#))
    }

    @Test func aRetryOfARefusedRetryIsStillOne() async throws {
        let chain = try await chain()
        _ = try await chain.send(.chat("s", [user("continue")]))
        chain.database.fail(atStep: 0, with: .unavailable)
        let request = Call.chat("s", [user("continue")])
        #expect(await chain.failure(of: request.with("x-stainless-retry-count", "1")) != nil)
        _ = try await chain.send(request.with("x-stainless-retry-count", "2"))
        #expect(try await chain.route(.GET, "/v1/chat/sessions/s/messages").body.contains(#""total":2"#))
    }

    @Test(arguments: [("k1", "k2"), ("k1", nil), (nil, "k2")] as [(String?, String?)])
    func aRetryWithAnotherIdempotencyKeyRepeatsNoTurnOfAnotherProcess(first: String?, second: String?) async throws {
        let one = try await chain()
        _ = try await one.send(.chat("s", [user("yes")]).with("Idempotency-Key", first))
        let other = try await one.restarted()
        let retry = Call.chat("s", [user("yes")]).with("x-stainless-retry-count", "1")
        _ = try await other.send(retry.with("Idempotency-Key", second))
        #expect(try await other.route(.GET, "/v1/chat/sessions/s/messages").body.contains(#""total":4"#))
    }

    @Test func theSameIdempotencyKeyIsARetryAndAnotherOneIsNot() async throws {
        let chain = try await chain()
        let total = { try await chain.route(.GET, "/v1/chat/sessions/s/messages").body }
        for _ in 1...2 { _ = try await chain.send(.chat("s", [user("yes")]).with("Idempotency-Key", "k1")) }
        #expect(try await total().contains(#""total":2"#))
        _ = try await chain.send(.chat("s", [user("yes")]).with("Idempotency-Key", "k2"))
        #expect(try await total().contains(#""total":4"#))
    }

    @Test func turnsOfOneSessionAtOnceAreAllKept() async throws {
        let chain = try await chain()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask { _ = try await chain.send(.chat("s", [user("n\(number)")])) }
            }
            try await group.waitForAll()
        }
        #expect(try await chain.route(.GET, "/v1/chat/sessions/s/messages").body.contains(#""total":40"#))
    }

    @Test func anEditNeverSupersedesWhatItsExchangeDidNotKnow() async throws {
        let chain = try await chain()
        for turn in 1...2 { _ = try await chain.send(.chat("s", [user("q\(turn)")])) }
        chain.upstream.reply(
            .after({ _ = try await chain.send(.chat("s", [user("meanwhile")])) }, "edited"))
        _ = try await chain.send(.chat("s", [user("q1"), assistant("ok"), user("edit")]))
        let all = try await chain.route(.GET, "/v1/chat/sessions/s/messages").body
        #expect(all.contains("meanwhile") && all.contains("edited") && !all.contains("q2"))
    }

    @Test(arguments: 0..<4) func aHistoryThatCannotBeReadIsNotForgottenInSilence(step: Int) async throws {
        let chain = try await chain()
        _ = try await chain.send(.chat("s", [user("hi")]))
        // The session plugin's own read comes first.
        chain.database.fail(atStep: step + 1, with: .unavailable)
        let error = try await chain.refusal(.chat("s", [user("again")]))
        if chain.database.withdraw() { return }
        #expect(error?.code == "history_unavailable" || error?.code == "turn_not_stored")
        #expect(error?.status == .serviceUnavailable)
        _ = try await chain.send(.chat("s", [user("again")]))
        #expect(chain.upstream.last.messages == [user("hi"), assistant("ok"), user("again")])
    }

    @Test func aHistoryThatCannotBeReadMayBeDoneWithoutAndTheHeaderSaysSo() async throws {
        let chain = try await chain(["history": [("on_history_failure", "degrade")]])
        _ = try await chain.send(.chat("s", [user("hi")]))
        chain.database.fail(atStep: 1, with: .unavailable)
        let answer = try await chain.send(.chat("s", [user("hi"), assistant("ok"), user("again")]))
        #expect(answer.history == "injected=0; dropped=0; reason=unavailable")
        #expect(try await chain.route(.GET, "/v1/chat/sessions/s/messages").body.contains(#""total":4"#))
    }

    @Test func aRequestThatIsSentAgainIsKnownWithoutTheHistoryToo() async throws {
        let chain = try await chain(["history": [("on_history_failure", "degrade")]])
        _ = try await chain.send(.chat("s", [user("hi")]))
        _ = try await chain.send(.chat("s", [user("again")]))
        chain.database.fail(atStep: 1, with: .unavailable)
        let answer = try await chain.send(.chat("s", [user("again")]).with("x-stainless-retry-count", "1"))
        #expect(answer.history == "injected=0; dropped=0; retry=1; reason=unavailable")
        #expect(try await chain.route(.GET, "/v1/chat/sessions/s/messages").body.contains(#""total":4"#))
        // The same words once more, by themselves, are another message.
        chain.database.fail(atStep: 1, with: .unavailable)
        _ = try await chain.send(.chat("s", [user("again")]))
        #expect(try await chain.route(.GET, "/v1/chat/sessions/s/messages").body.contains(#""total":6"#))
        // And what its client says is new all of it is so without the history, too.
        chain.database.fail(atStep: 1, with: .unavailable)
        let view = [user("hi"), assistant("ok"), user("more")]
        _ = try await chain.send(.chat("s", view, #""history_mode":"append""#))
        #expect(try await chain.route(.GET, "/v1/chat/sessions/s/messages").body.contains(#""total":10"#))
    }

    @Test func aViewWithoutInstructionsGetsTheStoredOnes() async throws {
        let chain = try await chain()
        _ = try await chain.send(.chat("s", [system("S"), user("one")]))
        for mode in ["auto", "replace"] {
            let view = [user("other"), assistant("x"), user("two")]
            _ = try await chain.send(.chat("s", view, #""history_mode":"\#(mode)""#))
            #expect(chain.upstream.last.messages == [system("S")] + view)
        }
    }

    @Test func aSessionWithoutTheHistoryFeatureIsStoredAllTheSame() async throws {
        let chain = try await chain(off: ["history"])
        _ = try await chain.send(.chat("s", [system("S"), user("one")]))
        let answer = try await chain.send(.chat("s", [user("two")]))
        #expect(chain.upstream.last.messages == [user("two")])
        #expect(answer.history == "injected=0; dropped=0; reason=history_off")
        _ = try await chain.send(
            .chat("s", [user("one"), assistant("ok"), user("two"), assistant("ok"), user("three")]))
        #expect(try await chain.route(.GET, "/v1/chat/sessions/s/messages").body.contains(#""total":6"#))
    }

    @Test(arguments: [#""messages":"x""#, #""messages":[1]"#, #""messages":[{"content":"x"}]"#])
    func messagesThatAreNoneAreRefused(_ messages: String) async throws {
        let chain = try await chain()
        let error = try await chain.refusal(Call(#"{"session_id":"s","model":"m",\#(messages)}"#))
        #expect(error?.status == .badRequest)
        #expect(error?.param?.hasPrefix("messages") == true)
        #expect(chain.upstream.seen.isEmpty)
    }

    @Test func brokenJSONInsideAMessageIsRefusedAndNeverStored() async throws {
        let chain = try await chain()
        let error = try await chain.refusal(.chat("s", [#"{"role":"user","content":"a","x":[1,}"#]))
        #expect(error?.status == .badRequest)
    }
}
