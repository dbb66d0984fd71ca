import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Testing
import TurnpikeKit

@testable import SessionPlugin

/// A request that surely names a session is not read twice, so what is sure has to be true.
@Suite struct SessionSelectionTests {
    private static let bodies = [
        "{}", #"{"session_id":"a"}"#, #"{"session_id":null}"#, #"{"session_id":""}"#, #"{"session_id":1}"#,
        #"{"session":{"external_conv_id":"c"}}"#, #"{"session":{}}"#, #"{"session":null}"#, #"{"session":"x"}"#,
        #"{"history_mode":"off","session_id":"a"}"#, #"{"history_mode":null,"session_id":"a"}"#,
        #"{"session_id":"a","session_id":null}"#, #"{"session\u005fid":"a"}"#,
    ]
    private static let headers: [HTTPHeaders] = [
        [:], ["X-Session-ID": "a"], ["x-session-id": ""], ["X-History-Mode": "off"],
        ["X-Session-ID": "a", "X-History-Mode": "off"], ["X-Session-ID": "b"],
    ]

    @Test(arguments: bodies, headers)
    func whatIsSurelyMadeNamesASessionThatIsToBeUsed(body: String, headers: HTTPHeaders) throws {
        let object = try JSONObject(scanning: ByteBuffer(string: body))
        let head = RequestHead(method: .POST, target: "/v1/chat/completions", headers: headers)
        guard SessionSelection.isMade(in: object, head), let read = try? SessionSelection(object, head) else { return }
        #expect(read.namesSession && read.mode != .off)
    }

    @Test func aNameInTheHeaderOrInTheBodyIsSure() throws {
        let (nothing, named) = (try JSONObject(scanning: "{}"), try JSONObject(scanning: #"{"session_id":"a"}"#))
        let plain = RequestHead(method: .POST, target: "/")
        let header = RequestHead(method: .POST, target: "/", headers: ["x-session-id": "a"])
        #expect(SessionSelection.isMade(in: named, plain) && SessionSelection.isMade(in: nothing, header))
        #expect(!SessionSelection.isMade(in: nothing, plain))
    }
}

extension JSONObject {
    fileprivate init(scanning text: String) throws(WireError) { try self.init(scanning: ByteBuffer(string: text)) }
}
