import NIOHTTP1
import Testing

@testable import TurnpikeKit

@Suite struct ValueTests {
    // MARK: - Secret

    @Test func aSecretIsPrintedNowhere() {
        let secret = Secret("sk-very-secret")
        let provider = Provider(name: "p", baseURL: "http://h", apiKey: secret)
        var dumped = ""
        dump(provider, to: &dumped)
        dump(secret, to: &dumped)
        let texts = [
            "\(secret)", "\(String(describing: Optional(secret)))", String(reflecting: secret), "\([secret])",
            "\(provider)", String(reflecting: provider), dumped,
        ]
        for text in texts { #expect(!text.contains("very")) }
        #expect("\(secret)" == "<secret>")
        #expect(secret.reveal() == "sk-very-secret")
    }

    // MARK: - Spelling

    @Test(
        arguments: [
            ("max_histroy", "max_history"), ("prot", "port"), ("Port", "port"), ("completely_different", nil),
            ("", nil),
        ] as [(String, String?)])
    func namesTheNearestWordIfItIsNear(word: String, nearest: String?) {
        #expect(Spelling.nearest(to: word, among: ["port", "max_history", "enabled"]) == nearest)
    }

    @Test func equallyNearWordsAreNamedInAlphabeticalOrder() {
        #expect(Spelling.nearest(to: "at", among: ["cat", "bat"]) == "bat")
        #expect(Spelling.nearest(to: "at", among: []) == nil)
    }

    // MARK: - Fields

    @Test(arguments: ["\r", "\n", "\0", "\r\n"], ["", "a", "a longer value, beyond what a string holds inline"])
    func aValueThatWouldEndItsFieldIsNone(end: String, value: String) {
        #expect(value.isFieldValue && "\(value)é\t\u{7F}".isFieldValue)
        #expect(!(end + value).isFieldValue && !(value + end).isFieldValue && !"a\(end)\(value)".isFieldValue)
    }

    /// RFC 9110, section 7.6.1, and its appendix B.
    @Test(
        arguments: [
            "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
        ])
    func aFieldOfTheConnectionIsKnownHoweverItIsWritten(name: String) {
        for spelling in [name, name.lowercased(), name.uppercased()] {
            #expect(spelling.isFieldOfConnection, "\(spelling)")
        }
        for other in ["\(name)s", "X-\(name)", String(name.dropLast()), "x" + name.dropFirst(), "\(name) "] {
            #expect(!other.isFieldOfConnection, "\(other)")
        }
    }

    @Test(
        arguments: [
            "", "To", "Accept", "Authorization", "Content-Length", "Content-Encoding", "Date", "Expires", "Host",
            "Proxy-Authenticate", "Proxy-Authorization", "Referer", "User-Agent", "Trailers", "Via",
        ])
    func anyOtherFieldIsNone(name: String) { #expect(!name.isFieldOfConnection) }

    // MARK: - GatewayError

    @Test(arguments: [
        (400, "invalid_request_error"), (401, "authentication_error"), (403, "permission_error"),
        (404, "invalid_request_error"), (413, "invalid_request_error"), (429, "rate_limit_error"),
        (500, "server_error"),
        (502, "server_error"), (503, "server_error"),
    ])
    func anErrorsTypeFollowsFromItsStatus(status: Int, type: String) {
        #expect(GatewayError(.gateway, HTTPResponseStatus(statusCode: status), code: "c", "m").type == type)
        #expect(GatewayError(.gateway, HTTPResponseStatus(statusCode: status), code: "c", "m", type: "t").type == "t")
    }

    @Test func anErrorShowsItsDetailToTheOperatorOnly() {
        let error = GatewayError.internalError("the disk is full")
        #expect(!error.description.contains("disk"))
        #expect(!error.message.contains("disk"))
        #expect(error.debugDescription.contains("disk"))
        #expect(error.retry == .unsafe)
    }

    @Test func whatIsUnavailableSaysWhenToComeBack() {
        let error = GatewayError.unavailable("busy", "Busy.", retryAfterSeconds: 7)
        #expect(error.status == .serviceUnavailable)
        #expect(error.headers.first(name: "retry-after") == "7")
        #expect(error.retry == .safe)
    }

    // MARK: - Stages

    @Test func stagesStandInTheOrderOfTheirNamesInTheChain() {
        #expect(
            Stage.allCases.sorted().map(\.name) == [
                "observe", "authenticate", "limit", "resolve", "capture", "transform", "history", "route",
            ])
    }

    @Test func onlyPluginsThatTheRestCanDoWithoutAreSwitchable() {
        let factory = { (id: String, stage: Stage) in
            PluginFactory(id: id, stage: stage) { _ in Idle() }.isSwitchable
        }
        #expect(factory("history", .history) && factory("session", .resolve) && factory("capture", .capture))
        #expect(!factory("auth", .authenticate) && !factory("models", .resolve) && !factory("router", .route))
    }
}

private struct Idle: Plugin {}
