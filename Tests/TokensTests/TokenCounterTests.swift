import NIOCore
import OpenAIWire
import Testing
import Tokens

struct TokenCounterTests {
    private let counter = TokenCounter(.exact(.cl100k))

    /// The example of the OpenAI Cookbook, "How to count tokens with tiktoken": 129 prompt tokens for gpt-4.
    @Test func countsTheExampleOfTheCookbook() throws {
        let request = try ChatRequest(
            scanning: ByteBuffer(
                string: """
                    {"model": "gpt-4", "messages": [
                    {"role": "system", "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
                    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
                    {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
                    {"role": "system", "name": "example_user", "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
                    {"role": "system", "name": "example_assistant", "content": "Let's talk later when we're less busy about how to do better."},
                    {"role": "user", "content": "This late pivot means we don't have time to boil the ocean for the client deliverable."}]}
                    """))
        #expect(try counter.count(request).total == TokenCount(129))
    }

    @Test func leadingInstructionsAreTheSystemPart() throws {
        let request = try ChatRequest(
            scanning: ByteBuffer(
                string: """
                    {"model": "m", "messages": [{"role": "developer", "content": "a"}, {"role": "user", "content": "b"},
                    {"role": "system", "content": "c"}]}
                    """))
        let tokens = try counter.count(request)
        #expect(tokens.system == TokenCount(5))
        #expect(tokens.messages == [TokenCount(5), TokenCount(5)])
        #expect(tokens.total == TokenCount(18))
    }

    @Test func aStringAndOneTextPartCountTheSame() {
        let string = counter.count(message: ByteBuffer(string: #"{"role": "user", "content": "hello world"}"#))
        let part = counter.count(
            message: ByteBuffer(string: #"{"role": "user", "content": [{"type": "text", "text": "hello world"}]}"#))
        #expect(string == part)
    }

    @Test func reasoningCountsAndWhatOnlyAProviderKnowsIsAMargin() {
        func count(_ member: String) -> TokenCount {
            counter.count(message: ByteBuffer(string: #"{"role": "assistant", "content": "yes"\#(member)}"#))
        }
        let plain = count("")
        let words = "one two three four five six seven eight"
        for key in ["reasoning_content", "reasoning", "refusal"] {
            #expect(count(#", "\#(key)": "\#(words)""#) == TokenCount(plain.tokens + 8))
        }
        for value in [#"[{"type":"reasoning.text","text":"\#(words)"}]"#, #""\#(words)""#] {
            let counted = count(#", "reasoning_details": \#(value)"#)
            #expect(counted.tokens == plain.tokens && counted.margin >= 8)
        }
        #expect(count(#", "audio": {"id": "audio_1", "transcript": "\#(words)"}"#).margin == 8)
        #expect(count(#", "annotations": [{"type": "url_citation"}], "x": null"#) == plain)
    }

    @Test func callsOfToolsCountTheirNamesAndArgumentsWithAMargin() {
        let message = ByteBuffer(
            string: """
                {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function",
                "function": {"name": "hello", "arguments": "hello world"}}]}
                """)
        #expect(counter.count(message: message) == TokenCount(3 + 1 + 3 + 1 + 2, margin: 12))
    }

    @Test func toolDefinitionsFollowTheRuleOfTheCookbook() throws {
        let tools = try JSONValue(
            scanning: ByteBuffer(
                string: """
                    [{"type": "function", "function": {"name": "get_current_weather",
                    "description": "Get the current weather in a given location", "parameters": {"type": "object",
                    "properties": {"location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                    "unit": {"type": "string", "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"]}},
                    "required": ["location"]}}}]
                    """))
        // The cookbook prints 105 for gpt-4 and 101 for gpt-4o, with this system message and this question.
        for (encoding, printed) in [(TokenEncoding.cl100k, 105), (.o200k, 101)] {
            let counter = TokenCounter(.exact(encoding))
            let around = [
                #"{"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."}"#,
                #"{"role": "user", "content": "What's the weather like in San Francisco?"}"#,
            ].map { counter.count(message: ByteBuffer(string: $0)).tokens }.reduce(TokenCounter.replyPriming, +)
            #expect(counter.count(tools: tools).tokens + around == printed)
        }
    }

    @Test func keywordsThatTheRuleDoesNotKnowAreAMargin() throws {
        func count(_ schema: String) throws -> TokenCount {
            let tool = #"[{"type": "function", "function": {"name": "f", "parameters": \#(schema)}}]"#
            return counter.count(tools: try JSONValue(scanning: ByteBuffer(string: tool)))
        }
        let plain = try count(#"{"type": "object", "properties": {"a": {"type": "string"}}}"#)
        let pattern = try count(#"{"type": "object", "properties": {"a": {"type": "string", "pattern": "^[a-z]+$"}}}"#)
        #expect(pattern.tokens == plain.tokens)
        #expect(pattern.margin > plain.margin + 5)
    }

    @Test func anUnknownModelIsEstimatedWithAMargin() {
        let estimated = TokenCounter(nil).count(text: String(repeating: "The quick brown fox jumps. ", count: 40))
        let exact = TokenCounter(.exact(.o200k)).count(
            text: String(repeating: "The quick brown fox jumps. ", count: 40))
        #expect(estimated.tokens <= exact.tokens * 2 && estimated.atMost >= exact.tokens)
    }
}
