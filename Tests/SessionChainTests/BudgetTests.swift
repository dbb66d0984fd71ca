import NIOCore
import NIOHTTP1
import OpenAIWire
import Testing
import TurnpikeKit

@Suite struct BudgetTests {
    private func chain(_ target: String, _ settings: [(String, String)] = []) async throws -> ChainFixture {
        let chain = try await ChainFixture(["history": settings + [("max_history_messages", "100")]], targets: [target])
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"s"}"#)
        return chain
    }

    /// Every message of these tests has so many tokens.
    private let size = user("q1").utf8.count

    @Test func theHeaderTellsTokensAndBudget() async throws {
        let chain = try await chain("m-1000", [("reserved_output", "50")])
        _ = try await chain.send(.chat("s", [user("q1")]))
        let answer = try await chain.send(.chat("s", [user("q2")]))
        let tokens = size + assistant("ok").utf8.count
        #expect(
            answer.fullHistory == "injected=2; dropped=0; tokens=\(tokens); budget=\(1_000 - 50 - size); reason=all")
    }

    @Test func reasoningThatIsNotSentTakesNoRoom() async throws {
        let chain = try await ChainFixture(
            ["history": [("reserved_output", "0")]], targets: ["m-1000"], reasoning: .drop)
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"s"}"#)
        let thought = String(repeating: "hm", count: 450)
        for turn in 1...4 {
            chain.upstream.reply(
                .json(message(#"{"role":"assistant","content":"ok","reasoning_content":"\#(thought)"}"#)))
            let answer = try await chain.send(.chat("s", [user("q\(turn)")]))
            guard turn > 1 else { continue }
            let tokens = (turn - 1) * (size + assistant("ok").utf8.count)
            #expect(answer.fullHistory?.contains("; tokens=\(tokens); ") == true)
            #expect(answer.fullHistory?.hasSuffix("reason=all") == true)
            #expect(chain.upstream.last.messages.count == 2 * turn - 1)
        }
    }

    @Test func whatDoesNotFitIsCutToTheLowWatermarkAndStaysCut() async throws {
        let chain = try await chain("m-600", [("reserved_output", "0"), ("retention_ratio", "0.5")])
        var prefixes: [String] = []
        var cuts = 0
        for turn in 1...40 {
            let answer = try await chain.send(.chat("s", [user("q\(turn)")]))
            let sent = chain.upstream.last.messages
            let size = sent.reduce(0) { $0 + $1.utf8.count }
            #expect(size <= 600)
            if !sent.starts(with: prefixes) {
                cuts += 1
                #expect(answer.history?.hasSuffix("reason=token_budget") == true)
            }
            prefixes = sent
        }
        #expect(cuts > 2 && cuts < 12)
    }

    @Test func theClientsLimitOnTheAnswerIsKeptFree() async throws {
        let chain = try await chain("m-1000")
        _ = try await chain.send(.chat("s", [user("q1")]))
        let answer = try await chain.send(.chat("s", [user("q2")], #""max_tokens":70,"tools":[1,2,3]"#))
        #expect(answer.fullHistory?.contains("budget=\(1_000 - 70 - size - 7);") == true)
        let other = try await chain.send(.chat("s", [user("q3")], #""max_completion_tokens":30"#))
        #expect(other.fullHistory?.contains("budget=\(1_000 - 30 - size);") == true)
    }

    @Test func whatTheClientSentIsNeverCutButRefused() async throws {
        let chain = try await chain("m-200")
        let error = try await chain.refusal(.chat("s", [user(String(repeating: "x", count: 200))]))
        #expect(error?.code == "context_length_exceeded" && error?.status == .badRequest)
        #expect(error?.type == "invalid_request_error" && error?.param == "messages")
        #expect(error?.message.hasPrefix("This model's maximum context length is 200 tokens. However, ") == true)
        #expect(chain.upstream.seen.isEmpty)
        let asked = try await chain.refusal(.chat("s", [user("q1")], #""max_tokens":99"#))
        #expect(asked == nil)
        let answer = try await chain.refusal(.chat("s", [user(String(repeating: "x", count: 90))], #""max_tokens":99"#))
        #expect(answer?.message.contains("in the completion") == true)
    }

    @Test func aMarginCutsTheHistoryAndRefusesNothing() async throws {
        let chain = try await chain("vague-200", [("reserved_output", "0")])
        _ = try await chain.send(.chat("s", [user("q1")]))
        let long = user(String(repeating: "x", count: 200 - user("").utf8.count))
        let answer = try await chain.send(.chat("s", [long]))
        #expect(answer.status == 200 && chain.upstream.last.messages == [long])
        #expect(answer.fullHistory == "injected=0; dropped=2; tokens=0; budget=0; reason=token_budget")
        let longer = try await chain.refusal(.chat("s", [long], #""tools":[1,2]"#))
        #expect(longer?.message.contains("your messages resulted in 205 tokens. ") == true)
        let asked = try await chain.refusal(.chat("s", [long], #""max_tokens":1"#))
        #expect(asked?.message.contains("(200 in the messages, 1 in the completion)") == true)
    }

    @Test func aMarginPassesOverNoTargetThatHasRoom() async throws {
        let chain = try await ChainFixture(targets: ["vague-200", "large-9000"])
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"s"}"#)
        _ = try await chain.send(.chat("s", [user("q1")]))
        let answer = try await chain.send(.chat("s", [user(String(repeating: "x", count: 150))]))
        // The larger one would get all of the history.
        #expect(answer.fullHistory?.hasPrefix("injected=0; dropped=2; ") == true)
    }

    @Test func aShadowSaysOfAMarginWhatWouldBeDone() async throws {
        let chain = try await chain("vague-200", [("mode", "shadow")])
        let answer = try await chain.send(.chat("s", [user(String(repeating: "x", count: 150))]))
        #expect(answer.history == "mode=shadow; injected=0; dropped=0; reason=empty")
    }

    @Test func anUnknownModelHasAnAssumedContextAndIsNeverRefused() async throws {
        let chain = try await chain("unknown", [("default_context_window", "400"), ("reserved_output", "0")])
        for turn in 1...12 { _ = try await chain.send(.chat("s", [user("q\(turn)")])) }
        let answer = try await chain.send(.chat("s", [user("q")]))
        #expect(answer.history?.hasSuffix("reason=assumed_context") == true)
        let size = chain.upstream.last.messages.reduce(0) { $0 + $1.utf8.count }
        #expect(size <= 400)
        let long = try await chain.send(.chat("s", [user(String(repeating: "x", count: 900))]))
        #expect(long.history?.hasPrefix("injected=0") == true && long.status == 200)
    }

    @Test func aTargetThatIsTooSmallForTheRequestIsPassedOver() async throws {
        let chain = try await ChainFixture(targets: ["small-100", "large-9000"])
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"s"}"#)
        let answer = try await chain.send(.chat("s", [user(String(repeating: "x", count: 300))]))
        #expect(answer.status == 200)
    }

    @Test func aShadowWorksEverythingOutAndChangesNothing() async throws {
        let chain = try await chain("m-1000", [("mode", "shadow"), ("reserved_output", "0")])
        _ = try await chain.send(.chat("s", [user("q1")]))
        let answer = try await chain.send(.chat("s", [user("q2")]))
        #expect(answer.fullHistory?.hasPrefix("mode=shadow; injected=2; dropped=0; tokens=") == true)
        #expect(chain.upstream.last.messages == [user("q2")])
        let long = try await chain.send(.chat("s", [user(String(repeating: "x", count: 2_000))]))
        #expect(long.status == 200 && long.history?.hasSuffix("reason=context_length_exceeded") == true)
    }

    @Test func aShadowRefusesNothingThatItWouldNotSend() async throws {
        let chain = try await ChainFixture(["history": [("mode", "shadow")]], bodyLimit: 20_000)
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"s"}"#)
        let long = String(repeating: "x", count: 8_000)
        for _ in 1...3 { #expect(try await chain.send(.chat("s", [user(long)])).status == 200) }
        let answer = try await chain.send(.chat("s", [user("q")]))
        #expect(answer.status == 200 && chain.upstream.last.messages == [user("q")])
        #expect(answer.fullHistory?.hasPrefix("mode=shadow; ") == true)
        #expect(try await chain.route(.GET, "/v1/chat/sessions/s/messages").body.contains(#""total":8"#))
    }

    @Test func anAnswerThatWasCutOffIsShownAgainOrLeftOut() async throws {
        for (replays, messages) in [("true", 3), ("false", 2)] {
            let chain = try await chain("m", [("replay_partial", replays)])
            chain.upstream.reply(.events(stream("half", "whole")))
            var call = Call.chat("s", [user("hi")], #""stream":true"#)
            call.end = .clientLeft(after: 320)
            call.pieces = .byEvent
            _ = try await chain.send(call)
            let answer = try await chain.send(.chat("s", [user("again")]))
            #expect(chain.upstream.last.messages.count == messages)
            #expect(answer.history?.contains("partial=1") == (replays == "true"))
        }
    }

    @Test func callsThatNobodyAnsweredAreNotShownAgain() async throws {
        let chain = try await chain("m")
        let call =
            #"{"role":"assistant","content":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]}"#
        chain.upstream.reply(.json(message(call, finish: "tool_calls")))
        _ = try await chain.send(.chat("s", [user("go")]))
        _ = try await chain.send(.chat("s", [user("never mind")]))
        #expect(chain.upstream.last.messages == [user("go"), user("never mind")])
    }

    @Test func aLateResultNeedsItsCallAndNotTheNewestTurn() async throws {
        let chain = try await chain("m-600", [("reserved_output", "0")])
        let call =
            #"{"role":"assistant","content":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]}"#
        chain.upstream.reply(.json(message(call, finish: "tool_calls")))
        _ = try await chain.send(.chat("s", [user("go")]))
        _ = try await chain.send(.chat("s", [user(String(repeating: "x", count: 400))]))
        let result = #"{"role":"tool","tool_call_id":"t","content":"\#(String(repeating: "r", count: 200))"}"#
        let answer = try await chain.send(.chat("s", [result]))
        #expect(chain.upstream.last.messages == [call, result])
        #expect(answer.history == "injected=1; dropped=3; reason=token_budget")
    }

    @Test(arguments: ["rolling", "stable"]) func aSessionHasATruncationOfItsOwn(_ truncation: String) async throws {
        let chain = try await ChainFixture(["history": [("max_history_messages", "6")]])
        _ = try await chain.route(
            .POST, "/v1/chat/sessions", body: "{\"id\":\"s\",\"truncation\":\"\(truncation)\"}")
        var counts: [Int] = []
        for turn in 1...8 {
            _ = try await chain.send(.chat("s", [user("q\(turn)")]))
            counts.append(chain.upstream.last.messages.count - 1)
        }
        #expect(counts == (truncation == "rolling" ? [0, 2, 4, 6, 6, 6, 6, 6] : [0, 2, 4, 6, 4, 6, 4, 6]))
    }
}
