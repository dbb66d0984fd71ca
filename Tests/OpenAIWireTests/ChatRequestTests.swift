import NIOCore
import OpenAIWire
import Testing

@Suite struct ChatRequestTests {
    private func request(_ text: String) throws -> ChatRequest {
        try ChatRequest(scanning: ByteBuffer(string: text))
    }

    @Test func readsTheParametersThatTurnpikeActsOn() throws {
        let full = try request(
            #"{"model":"m","stream":true,"n":2,"store":true,"stream_options":{"include_usage":true},"max_tokens":5}"#)
        #expect(full.model == "m" && full.stream && full.n == 2 && full.store && full.includesUsage)
        #expect(try full.outputLimit() == 5)
        let nulls = try request(#"{"model":"m","stream":null,"n":null,"store":null,"stream_options":null}"#)
        #expect(!nulls.stream && nulls.n == 1 && !nulls.store && !nulls.includesUsage)
        #expect(try request(#"{"model":"m","max_tokens":1,"max_completion_tokens":2}"#).outputLimit() == 2)
        // A limit that nobody can reckon with is as good as none.
        #expect(try request(#"{"model":"m","max_tokens":9223372036854775807}"#).outputLimit() == 1 << 40)
    }

    @Test(arguments: [
        ("{}", "model"), (#"{"model":null}"#, "model"), (#"{"model":1}"#, "model"),
        (#"{"model":"m","stream":1}"#, "stream"),
        (#"{"model":"m","n":"1"}"#, "n"), (#"{"model":"m","n":0}"#, "n"), (#"{"model":"m","n":1.5}"#, "n"),
        (#"{"model":"m","stream_options":[]}"#, "stream_options"),
        (#"{"model":"m","stream_options":{"include_usage":1}}"#, "stream_options.include_usage"),
        (#"{"model":"m"}"#, "messages"), (#"{"model":"m","messages":{}}"#, "messages"),
        (#"{"model":"m","messages":[1]}"#, "messages[0]"),
        (#"{"model":"m","messages":[{"role":"user"},{}]}"#, "messages[1].role"),
        (#"{"model":"m","messages":[{"role":7}]}"#, "messages[0].role"),
        (#"{"model":"m","messages":[{"role":"user"} {}]}"#, "messages"),
        (#"{"model":"m","messages":[{"role" "user"}]}"#, "messages[0]"),
    ])
    func namesTheParameterThatIsWrong(text: String, param: String) throws {
        let error = try #require(throws: WireError.self) { _ = try request(text).messages() }
        #expect(error.param == param)
        #expect(error.description.contains("'\(param)'"))
    }

    @Test func findsMessagesWithTheirBytes() throws {
        let messages = try request(
            #"{"model":"m","messages":[ {"role":"developer","content":"x"} ,{"role":"assistant","content":null,"#
                + #""tool_calls":[{"id":"a"},{"id":"b"}]},{"content":"1","role":"tool","tool_call_id":"a"},"#
                + #"{"role":"assistant","tool_calls":[ ]},{"role":"critic"}]}"#
        ).messages()
        #expect(messages.map(\.role) == [.developer, .assistant, .tool, .assistant, .other("critic")])
        #expect(messages.map(\.hasToolCalls) == [false, true, false, false, false])
        #expect(messages[0].bytes.utf8Text == #"{"role":"developer","content":"x"}"#)
        #expect(messages[0].role.isInstruction && !messages[1].role.isInstruction)
        #expect(messages[1].toolCallIDs == ["a", "b"])
        #expect(messages[2].toolCallID == "a")
        #expect(messages[4].role.name == "critic")
    }

    @Test func splicesMessagesModelAndUsageAndTakesExtensionsOut() throws {
        let request = try request(
            #"{"session_id":"s","model":"a","messages":[{"role":"user","content":"2"}], "seed":12345678901234567890 ,"history_mode":"auto"}"#
        )
        let stored = [#"{"role":"user","content":"0"}"#, #"{"role":"assistant","content":"1"}"#].map(
            ByteBuffer.init(string:))
        var edits = ChatRequest.removingExtensions
        edits.append(ChatRequest.settingModel("b\""))
        edits.append(ChatRequest.settingMessages(stored + (try request.messages().map(\.bytes))))
        edits.append(try #require(try request.includingUsage()))
        #expect(
            request.edited(edits).utf8Text
                == #"{"model":"b\"","messages":[{"role":"user","content":"0"},{"role":"assistant","content":"1"},"#
                + #"{"role":"user","content":"2"}], "seed":12345678901234567890,"stream_options":{"include_usage":true}}"#
        )
    }

    @Test func addsUsageToStreamOptionsThatAreThere() throws {
        let some = try request(#"{"model":"m","stream_options":{"x":1,"include_usage":false}}"#)
        let edit = try #require(try some.includingUsage())
        #expect(some.edited([edit]).utf8Text == #"{"model":"m","stream_options":{"x":1,"include_usage":true}}"#)
        #expect(try request(#"{"model":"m","stream_options":{"include_usage":true}}"#).includingUsage() == nil)
        let null = try request(#"{"model":"m","stream_options":null}"#)
        #expect(
            null.edited([try #require(try null.includingUsage())]).utf8Text
                == #"{"model":"m","stream_options":{"include_usage":true}}"#)
    }

    @Test func readsWhatRealClientsSendAndPutsItTogetherAgain() throws {
        #expect(Recording.chats.count > 60)
        for recording in Recording.chats {
            let request = try ChatRequest(scanning: recording.body)
            #expect(!request.model.isEmpty)
            let messages = try request.messages()
            #expect(!messages.isEmpty)
            #expect(request.edited(ChatRequest.removingExtensions.filter { _ in false }) == recording.body)
            let again = request.edited([ChatRequest.settingMessages(messages.map(\.bytes))])
            #expect(again == recording.body, "\(recording.name)")
        }
    }
}
