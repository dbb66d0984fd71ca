import NIOCore
import OpenAIWire
import Testing

@Suite struct DeltaAccumulatorTests {
    /// Wraps the inside of one choice as a chunk.
    private func chunk(_ choice: String, index: Int = 0) -> ByteBuffer {
        ByteBuffer(
            string: #"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","system_fingerprint":"fp","#
                + #""choices":[{"index":\#(index),\#(choice)}],"usage":null}"#)
    }

    private func accumulated(_ choices: [String], logprobs: Bool = false) throws -> DeltaAccumulator {
        var deltas = DeltaAccumulator(limit: 1 << 20, keepsLogprobs: logprobs)
        for choice in choices { _ = try deltas.add(chunk(choice)) }
        return deltas
    }

    private func message(_ choices: [String], partial: Bool = false) throws -> String? {
        let message = try accumulated(choices).message(partial: partial)
        if let message { try JSON.validate(message) }
        return message?.utf8Text
    }

    @Test func joinsTextAndTellsWhatEachChunkBrings() throws {
        var deltas = DeltaAccumulator(limit: 1 << 20)
        let first = try deltas.add(
            chunk(#""delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null"#))
        #expect(first == DeltaAccumulator.ChunkFacts())
        #expect(!deltas.hasOutput)
        let second = try deltas.add(chunk(#""delta":{"content":"Hé\n"},"finish_reason":"""#))
        #expect(second.hasOutput && !second.finishes && deltas.hasOutput)
        _ = try deltas.add(chunk(#""delta":{"content":null}"#))
        _ = try deltas.add(chunk(#""delta":{"content":"\ud83d"}"#))
        _ = try deltas.add(chunk(#""delta":{"content":"\ude00"}"#))
        let last = try deltas.add(chunk(#""delta":{},"finish_reason":"stop""#))
        #expect(last.finishes && !last.hasOutput && deltas.isFinished)
        let usage = try deltas.add(
            ByteBuffer(string: #"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#))
        #expect(usage.hasUsage && usage.isUsageOnly && !usage.finishes)
        #expect(deltas.usage == Usage(prompt: 3, completion: 2))
        #expect(deltas.usageJSON?.utf8Text == #"{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#)
        #expect(deltas.id == "c1" && deltas.model == "m" && deltas.systemFingerprint == "fp")
        #expect(deltas.finishReason() == "stop")
        let message = try #require(deltas.message(partial: false))
        #expect(message.utf8Text == #"{"role":"assistant","content":"Hé\n\ud83d\ude00","refusal":null}"#)
        #expect(try JSONObject(scanning: message)["content"]?.string == "Hé\n😀")
    }

    @Test func tellsNullContentFromEmptyAndFromTheTextNull() throws {
        #expect(try message([#""delta":{"content":null}"#]) == #"{"role":"assistant","content":null}"#)
        #expect(try message([#""delta":{"content":""}"#]) == #"{"role":"assistant","content":""}"#)
        #expect(
            try message([#""delta":{"content":null}"#, #""delta":{"content":"null"}"#])
                == #"{"role":"assistant","content":"null"}"#)
        #expect(try message([#""delta":{}"#]) == #"{"role":"assistant","content":null}"#)
    }

    @Test func joinsToolCallsByIndexAlsoWhenTheyInterleave() throws {
        let text = try message([
            #""delta":{"role":"assistant","content":null,"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}]}"#,
            #""delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}},{"index":1,"function":{"arguments":"{\"y\""}}]}"#,
            #""delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}},{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":":1}"}}]}"#,
        ])
        #expect(
            text
                == #"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},"#
                + #"{"id":"b","type":"function","function":{"name":"g","arguments":"{\"y\":1}"}}]}"#)
    }

    @Test func keepsCallsApartThatAProviderNumbersBadly() throws {
        let sameIndex = try message([
            #""delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#,
            #""delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]}"#,
        ])
        let noIndex = try message([
            #""delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]}"#,
            #""delta":{"tool_calls":[{"function":{"arguments":"}"}}]}"#,
            #""delta":{"tool_calls":[{"id":"b","function":{"name":"f","arguments":"{}"}}]}"#,
        ])
        let expected =
            #"{"role":"assistant","content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"},"type":"function"},"#
            + #"{"id":"b","function":{"name":"f","arguments":"{}"},"type":"function"}]}"#
        #expect(sameIndex == expected)
        #expect(noIndex == expected)
        let idPerDelta = try message([
            #""delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"get_","arguments":"{"}}]}"#,
            #""delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":null,"arguments":"}"}}]}"#,
        ])
        #expect(
            idPerDelta
                == #"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"get_","arguments":"{}"}}]}"#
        )
    }

    @Test func keepsCustomCallsRefusalsReasoningAudioAnnotationsAndUnknownFields() throws {
        let text = try message([
            #""delta":{"role":"assistant","reasoning_content":"th","audio":{"id":"au","transcript":"he","data":"AAAA"}}"#,
            #""delta":{"reasoning_content":"ink","audio":{"data":"BBBB","transcript":"llo","expires_at":7}}"#,
            #""delta":{"refusal":"no","annotations":[{"type":"url_citation","url_citation":{"url":"u"}}],"score":1}"#,
            #""delta":{"refusal":"pe","annotations":[{"type":"x"}],"score":2.50,"vendor":{"a":"x","b":true}}"#,
            #""delta":{"vendor":{"a":"y"},"function_call":{"name":"f","arguments":"{"}}"#,
            #""delta":{"function_call":{"arguments":"}"},"tool_calls":[{"index":0,"id":"c","type":"custom","custom":{"name":"sql","input":"a"}}]}"#,
            #""delta":{"tool_calls":[{"index":0,"custom":{"input":"b"}}]}"#,
        ])
        #expect(
            text
                == #"{"role":"assistant","content":null,"reasoning_content":"think","audio":{"id":"au","transcript":"hello","expires_at":7},"#
                + #""refusal":"nope","annotations":[{"type":"url_citation","url_citation":{"url":"u"}},{"type":"x"}],"score":2.50,"#
                + #""vendor":{"a":"xy","b":true},"function_call":{"name":"f","arguments":"{}"},"#
                + #""tool_calls":[{"id":"c","type":"custom","custom":{"name":"sql","input":"ab"}}]}"#)
    }

    @Test func finishesWhenEveryExpectedChoiceHas() throws {
        var deltas = DeltaAccumulator(limit: 1 << 20, expectedChoices: 2)
        _ = try deltas.add(chunk(#""delta":{"content":"b"}"#, index: 1))
        #expect(!(try deltas.add(chunk(#""delta":{},"finish_reason":"length""#, index: 1)).finishes))
        _ = try deltas.add(chunk(#""delta":{"content":"a"}"#, index: 0))
        #expect(try deltas.add(chunk(#""finish_reason":"stop","delta":{"content":"!"}"#, index: 0)).finishes)
        #expect(deltas.message(partial: false)?.utf8Text == #"{"role":"assistant","content":"a!"}"#)
        #expect(deltas.message(choice: 1, partial: false)?.utf8Text == #"{"role":"assistant","content":"b"}"#)
        #expect(deltas.message(choice: 2, partial: false) == nil)
        #expect(deltas.finishReason(choice: 1) == "length")
        #expect(deltas.choiceIndexes == [0, 1])
    }

    @Test func leavesIncompleteToolCallsOutOfAPartialMessage() throws {
        let first =
            #""delta":{"content":"Let me","tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}"#
        let cut =
            #""delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":"{\"x\": \"1"}}]}"#
        let custom = #""delta":{"tool_calls":[{"index":2,"id":"c","type":"custom","custom":{"name":"f","input":"x"}}]}"#
        #expect(
            try message([first, cut, custom], partial: true)
                == #"{"role":"assistant","content":"Let me","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}"#
        )
        #expect(
            try message([#""delta":{"content":"hi"}"#, cut], partial: true) == #"{"role":"assistant","content":"hi"}"#)
        #expect(try message([#""delta":{"role":"assistant","content":""}"#, cut], partial: true) == nil)
        #expect(try message([cut], partial: false) != nil)
        #expect(try message([#""delta":{"function_call":{"name":"f","arguments":"{"}}"#], partial: true) == nil)
    }

    @Test func keepsLogprobsOnlyIfTold() throws {
        let choices = [
            #""delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.1}],"refusal":null}"#,
            #""delta":{},"logprobs":{"content":[{"token":"b","logprob":-0.2}],"refusal":null}"#,
        ]
        #expect(try accumulated(choices).logprobs() == nil)
        #expect(
            try accumulated(choices, logprobs: true).logprobs()?.utf8Text
                == #"{"content":[{"token":"a","logprob":-0.1},{"token":"b","logprob":-0.2}],"refusal":null}"#)
    }

    @Test func readsAnErrorInTheStream() throws {
        var deltas = DeltaAccumulator(limit: 1 << 20)
        let facts = try deltas.add(
            ByteBuffer(string: #"{"error":{"message":"overloaded","type":"server_error","code":503}}"#))
        #expect(facts.hasError && deltas.error?.message == "overloaded" && deltas.error?.code == "503")
        #expect(!(try deltas.add(ByteBuffer(string: #"{"error":null,"choices":[]}"#)).hasError))
    }

    @Test(arguments: [
        "", "[DONE]", "[]", "{", #"{"choices":[{"delta":{"content":"\x"}}]}"#,
        "{\"choices\":[{\"delta\":{\"content\":\"\u{1}\"}}]}",
    ])
    func refusesAMalformedChunkAndGoesOn(text: String) throws {
        var deltas = try accumulated([#""delta":{"content":"a"}"#])
        #expect(throws: WireError.self) { try deltas.add(ByteBuffer(string: text)) }
        _ = try deltas.add(chunk(#""delta":{"content":"b"}"#))
        #expect(deltas.message(partial: false)?.utf8Text == #"{"role":"assistant","content":"ab"}"#)
    }

    @Test(arguments: [
        #"{"choices":7}"#, #"{"choices":[null,1]}"#, #"{"choices":[{"delta":[]}]}"#, #"{"choices":[{}],"usage":1}"#,
        #"{"id":1}"#,
    ])
    func toleratesMembersOfAnotherType(text: String) throws {
        var deltas = DeltaAccumulator(limit: 1 << 20)
        #expect(try deltas.add(ByteBuffer(string: text)) == DeltaAccumulator.ChunkFacts())
    }

    @Test func changesShapeWithTheLastDelta() throws {
        #expect(
            try message([
                #""delta":{"x":"a"}"#, #""delta":{"x":{"y":1}}"#, #""delta":{"x":[1,2]}"#, #""delta":{"x":[3]}"#,
            ])
                == #"{"role":"assistant","content":null,"x":[1,2,3]}"#)
    }

    @Test func staysWithinItsLimitAndStaysFailed() throws {
        var deltas = DeltaAccumulator(limit: 2_000)
        var error: WireError?
        for _ in 0..<200 where error == nil {
            do throws(WireError) { _ = try deltas.add(chunk(#""delta":{"content":"0123456789012345"}"#)) } catch let
                caught
            { error = caught }
        }
        #expect(error?.exceedsLimit == true)
        #expect(try #require(deltas.message(partial: true)).readableBytes < 2_100)
        #expect(throws: WireError.self) { try deltas.add(chunk(#""delta":{"content":""}"#)) }
        var calls = DeltaAccumulator(limit: 1 << 30)
        let hostile = (0..<2_000).map { #"{"index":\#($0)}"# }.joined(separator: ",")
        #expect(throws: WireError.self) { try calls.add(chunk(#""delta":{"tool_calls":[\#(hostile)]}"#)) }
        var choices = DeltaAccumulator(limit: 1 << 30)
        #expect(throws: WireError.self) {
            for index in 0..<200 { _ = try choices.add(chunk(#""delta":{}"#, index: index)) }
        }
    }

    @Test func staysLinearOverALongAnswer() throws {
        var deltas = DeltaAccumulator(limit: 64 << 20)
        let delta = chunk(#""delta":{"content":"\#(String(repeating: "x", count: 200))"}"#)
        for _ in 0..<20_000 { _ = try deltas.add(delta) }
        #expect(try #require(deltas.message(partial: false)).readableBytes == 4_000_000 + 33)
    }

    @Test func takesTheNullUsageOutOfAChunkAndNothingElse() throws {
        let event = ServerSentEvent(data: ByteBuffer(string: #"{"id":"a", "choices":[],"usage":null}"#))
        #expect(UsageHiding.removingNullUsage(event).raw.utf8Text == "data: {\"id\":\"a\", \"choices\":[]}\n\n")
        for text in [#"{"usage":{"total_tokens":1}}"#, #"{"id":1}"#, "[DONE]"] {
            let event = ServerSentEvent(data: ByteBuffer(string: text))
            #expect(UsageHiding.removingNullUsage(event) == event)
        }
    }
}
