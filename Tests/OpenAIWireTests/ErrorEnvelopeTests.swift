import NIOCore
import OpenAIWire
import Testing

@Suite struct ErrorEnvelopeTests {
    @Test func writesOpenAIsShapeWithTheRequestID() throws {
        let error = ErrorEnvelope(
            message: "No \"x\".", type: "invalid_request_error", param: "model", code: nil, requestID: "req_1")
        #expect(
            error.json.utf8Text
                == #"{"error":{"message":"No \"x\".","type":"invalid_request_error","param":"model","code":null,"request_id":"req_1"}}"#
        )
        #expect(error.event.raw.utf8Text == "event: error\ndata: \(error.json.utf8Text)\n\n")
        #expect(ErrorEnvelope(parsing: error.json) == error)
    }

    @Test(
        arguments: [
            (#"{"error":"text"}"#, "text", nil), (#"{"detail":"not found"}"#, "not found", nil),
            (#"{"message":"m","code":42}"#, "m", "42"),
            (#"{"error":{"message":"e","code":"c","type":null}}"#, "e", "c"),
            (#"{"error":{"code":500}}"#, "", "500"),
        ] as [(String, String, String?)])
    func readsWhatOtherUpstreamsSend(text: String, message: String, code: String?) throws {
        let error = try #require(ErrorEnvelope(parsing: ByteBuffer(string: text)))
        #expect(error.message == message && error.code == code)
    }

    @Test(arguments: ["", "<html>", "[]", "{}", #"{"error":null}"#, #"{"choices":[]}"#])
    func findsNoErrorWhereThereIsNone(text: String) {
        #expect(ErrorEnvelope(parsing: ByteBuffer(string: text)) == nil)
    }
}
