import NIOHTTP1
import Persistence
import Testing
import TurnpikeKit

/// Who says what a request's messages are: the request, else its session, else its key, else the configuration.
@Suite struct HistoryModeTests {
    /// Words that each of them may say, and whose word counts.
    struct Case: Sendable, CustomTestStringConvertible {
        var request: HistoryMode?
        var session: HistoryMode?
        var key: HistoryMode?
        var configured: HistoryMode?

        var counts: HistoryMode { request ?? session ?? key ?? configured ?? .auto }
        var testDescription: String {
            [request, session, key, configured].map { $0?.rawValue ?? "–" }.joined(separator: " > ")
        }
    }

    static let cases: [Case] = [
        Case(), Case(configured: .append), Case(key: .append), Case(key: .append, configured: .replace),
        Case(session: .append, key: .replace), Case(session: .replace, key: .off, configured: .off),
        Case(request: .append, session: .replace, key: .off), Case(request: .auto, key: .append, configured: .replace),
        Case(request: .off, session: .auto, key: .auto), Case(session: .off, key: .auto), Case(key: .off),
        Case(configured: .off), Case(key: .auto, configured: .off),
    ]

    /// A client that resends its first question, with its own idea of the answer: each mode makes something else of it.
    @Test(arguments: cases) func theNearestWordCounts(_ saying: Case) async throws {
        let chain = try await ChainFixture(
            saying.configured.map { ["session": [("history_mode", $0.rawValue)]] } ?? [:],
            alice: Principal(name: "alice").with(saying.key))
        let mode = saying.session.map { #","history_mode":"\#($0.rawValue)""# } ?? ""
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"s"\#(mode)}"#)
        let first = Call.chat("s", [user("one")], #""history_mode":"append""#)
        _ = try await chain.send(first)
        let view = [user("one"), assistant("mine"), user("two")]
        let fields = saying.request.map { #""history_mode":"\#($0.rawValue)""# }
        let answer = try await chain.send(fields.map { Call.chat("s", view, $0) } ?? Call.chat("s", view))
        let known = [user("one"), assistant("ok")]
        #expect(chain.upstream.last.messages == (saying.counts == .append ? known + view : view))
        let reasons: [HistoryMode: String] = [.auto: "branched", .append: "all", .replace: "replace"]
        #expect((answer.history == nil) == (saying.counts == .off))
        if let reason = reasons[saying.counts] { #expect(answer.history?.contains("reason=\(reason)") == true) }
        let stored = try await chain.route(.GET, "/v1/chat/sessions/s/messages").body
        #expect(stored.contains(#""total":2"#) == (saying.counts == .off))
    }

    @Test func aKeyThatLeavesSessionsAloneMakesNone() async throws {
        let chain = try await ChainFixture(alice: Principal(name: "alice").with(.off))
        for call in [
            Call.chat(nil, [user("hi")]).with("X-Session-ID", "made-up"), Call.chat("unknown", [user("hi")]),
            Call.chat(nil, [user("hi")], #""session":{"agent_id":"a","external_conv_id":"c"}"#),
        ] {
            let answer = try await chain.send(call)
            #expect(answer.sessionID == nil && answer.history == nil)
            #expect(chain.upstream.last.body == #"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#)
        }
        #expect(try await chain.route(.GET, "/v1/chat/sessions").body.contains(#""data":[]"#))
        // A request that says otherwise is remembered.
        let answer = try await chain.send(
            Call.chat(nil, [user("hi")], #""history_mode":"auto""#).with("X-Session-ID", "made-up"))
        #expect(answer.sessionID != nil)
    }
}

extension Principal {
    fileprivate func with(_ mode: HistoryMode?) -> Principal {
        var principal = self
        principal.historyMode = mode
        return principal
    }
}
