import NIOCore
import OpenAIWire
import Testing

@Suite struct MessageMembersTests {
    @Test(arguments: [
        (#"{"role":"user","content":"hi"}"#, true), (#" { "content" : "a\nb" , "role" : "user" } "#, true),
        (#"{"role":"user","content":""}"#, true), (#"{"role":"user","c\u006fntent":"hi"}"#, true),
        (#"{"role":"user","content":null}"#, false), (#"{"role":"user","content":["a"]}"#, false),
        (#"{"role":"user","content":"hi","name":"x"}"#, false), (#"{"role":"user","role":"user"}"#, false),
        (#"{"role":"user","content":"hi","content":"ho"}"#, false), (#"{"content":"hi"}"#, false), ("[1]", false),
        (#"{"role":"user","content":"hi""#, false),
    ])
    func aMessageOfTwoStringsIsPlain(_ json: String, _ isPlain: Bool) {
        #expect((MessageMembers.plainText(ByteBuffer(string: json)) != nil) == isPlain)
    }

    @Test func plainTextIsUnescaped() throws {
        let text = try #require(
            MessageMembers.plainText(ByteBuffer(string: #"{"role":"us\u0065r","content":"a\"\u00e9\n"}"#)))
        #expect(String(buffer: text.role) == "user" && String(buffer: text.content) == "a\"é\n")
    }

    @Test(arguments: [
        (#"{"role":"assistant","content":"hi"}"#, false), (#"{"role":"assistant","citations":[1]}"#, true),
        (#"{"annotations":[],"role":"assistant"}"#, true), (#"{"cit\u0061tions":null}"#, true),
        (#"{"content":{"citations":[1]}}"#, false), (#"{"content":"\"citations\":[1]"}"#, false), ("null", false),
    ])
    func onlyAMessagesOwnMembersNameItsSources(_ json: String, _ mayName: Bool) {
        #expect(MessageMembers.mayNameSources(ByteBuffer(string: json)) == mayName)
    }

    @Test(arguments: [
        (#"{"role":"assistant","tool_calls":[{}]}"#, true), (#"{"tool_calls":[ 1 ],"role":"assistant"}"#, true),
        (#"{"role":"assistant","tool_calls":[ ]}"#, false), (#"{"role":"assistant","tool_calls":null}"#, false),
        (#"{"tool_calls":[1],"tool_calls":null}"#, false), (#"{"content":"tool_calls"}"#, false), ("[]", false),
    ])
    func aMessageWithCallsCallsTools(_ json: String, _ calls: Bool) {
        #expect(MessageMembers.callsTools(ByteBuffer(string: json)) == calls)
    }
}
