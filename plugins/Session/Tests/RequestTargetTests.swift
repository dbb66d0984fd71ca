import Testing

@testable import SessionPlugin

@Suite struct RequestTargetTests {
    @Test(arguments: [
        ("/v1/x?session_id=a", "/v1/x"), ("/v1/x?a=1&session_id=b&c=%2F", "/v1/x?a=1&c=%2F"),
        ("/v1/x?session%5Fid=b&&d", "/v1/x?&d"), ("/v1/x?session_id&session_id=2&z", "/v1/x?z"),
    ])
    func theItemIsTakenOutAndTheRestStays(target: String, expected: String) {
        #expect(target.removingQueryItem("session_id") == expected)
    }

    @Test(arguments: ["/v1/x", "/v1/x?", "/v1/x?a=session_id", "/v1/x?session_idx=1", "/v1/x?%zz=1"])
    func aTargetWithoutTheItemIsLeftAlone(target: String) {
        #expect(target.removingQueryItem("session_id") == nil)
    }
}
