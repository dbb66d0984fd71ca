import NIOCore
import OpenAIWire
import Testing

@Suite struct UsageTests {
    private func usage(_ text: String) throws -> Usage? {
        Usage(try JSONValue(scanning: ByteBuffer(string: text)))
    }

    @Test func readsCountsAndDetails() throws {
        let usage = try #require(
            try usage(
                #"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4},"#
                    + #""completion_tokens_details":{"reasoning_tokens":3}}"#))
        #expect(usage == Usage(prompt: 10, completion: 5, cachedPrompt: 4, reasoning: 3))
        #expect(usage.total == 15)
    }

    @Test func takesWhatIsMissingOrOddAsZero() throws {
        #expect(try usage(#"{"prompt_tokens":7,"prompt_tokens_details":null}"#)?.total == 7)
        #expect(
            try usage(#"{"prompt_tokens":-7,"completion_tokens":"x","total_tokens":1e300}"#)
                == Usage(prompt: 0, completion: 0))
        #expect(try usage("null") == nil)
    }

    @Test(arguments: [
        (#"{"prompt_tokens":1,"prompt_tokens":2,"completion_tokens":3.0}"#, Usage(prompt: 2, completion: 3)),
        (#" { "prompt_tok\u0065ns" : 4 , "completion_tokens" : 5e1 } "#, Usage(prompt: 4, completion: 50)),
        (
            #"{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":1},"prompt_tokens_details":{"cached_tokens":2}}"#,
            Usage(prompt: 9, completion: 0, cachedPrompt: 2)
        ),
        (
            #"{"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens" 2},"x":{"prompt_tokens":7}}"#,
            Usage(prompt: 0, completion: 9)
        ),
        (#"{"prompt_tokens":0123}"#, nil), (#"{"prompt_tokens":1} 2"#, nil), (#"[1]"#, nil),
    ])
    func readsWhateverIsWrittenAsJSON(text: String, expected: Usage?) {
        #expect(ByteBuffer(string: text).withUnsafeReadableBytes { Usage(scanning: $0) } == expected)
    }

    /// Counts are added up over the turns of a session: what no model can have counted must not overflow the sum.
    @Test func boundsWhatNoModelCanHaveCounted() throws {
        let most = "\(Int.max)"
        let usage = try #require(
            try usage(
                #"{"prompt_tokens":\#(most),"completion_tokens":\#(most),"total_tokens":\#(most),"#
                    + #""prompt_tokens_details":{"cached_tokens":\#(most)}}"#))
        #expect(usage.prompt == Int(Int32.max))
        #expect(usage.completion == Int(Int32.max))
        #expect(usage.total == Int(Int32.max))
        #expect(usage.cachedPrompt == Int(Int32.max))
    }
}
