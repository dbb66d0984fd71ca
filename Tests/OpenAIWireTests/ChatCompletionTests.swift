import NIOCore
import OpenAIWire
import Testing

@Suite struct ChatCompletionTests {
    @Test func readsChoicesWithTheirMessagesAsTheyCame() throws {
        let completion = try ChatCompletion(
            scanning: ByteBuffer(
                string: #"{"id":"c","model":"m","system_fingerprint":null,"choices":[{"index":0,"message":"#
                    + #"{"role":"assistant", "content":"hi","refusal":null,"annotations":[]},"finish_reason":"stop"},{"index":1,"message":"#
                    + #"{"role":"assistant","content":null,"tool_calls":[]},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#
            ))
        #expect(completion.id == "c" && completion.model == "m" && completion.systemFingerprint == nil)
        #expect(completion.usage == Usage(prompt: 1, completion: 2))
        #expect(
            completion.choice()?.message?.utf8Text
                == #"{"role":"assistant", "content":"hi","refusal":null,"annotations":[]}"#)
        #expect(completion.choices.map(\.finishReason) == ["stop", "length"])
        #expect(completion.choices.map(\.hasOutput) == [true, false])
        #expect(completion.error == nil)
    }

    @Test func readsLooselyWhatIsMissing() throws {
        let completion = try ChatCompletion(
            scanning: ByteBuffer(string: #"{"choices":[null,{"finish_reason":""}],"usage":null}"#))
        #expect(completion.choices.count == 1 && completion.choice(1)?.message == nil && completion.usage == nil)
        #expect(completion.choice(1)?.finishReason == nil)
        let error = try ChatCompletion(scanning: ByteBuffer(string: #"{"error":{"message":"x"}}"#))
        #expect(error.error?.message == "x" && error.choices.isEmpty)
        #expect(throws: WireError.self) { _ = try ChatCompletion(scanning: ByteBuffer(string: #"{"choices":[{]}"#)) }
    }
}
