import NIOHTTP1
import Testing
import TurnpikeKit

@Suite struct SessionSelectionTests {
    @Test func aRequestWithoutASessionPassesByteForByte() async throws {
        let chain = try await ChainFixture()
        let body =
            #"{ "model":"m", "messages" : [ {"role":"user","content":"hi"} ], "top_k": 3, "big":12345678901234567890 }"#
        var call = Call(body, target: "/v1/chat/completions?a=b+c&x=%2F")
        call.headers.add(name: "X-Custom", value: "1")
        let answer = try await chain.send(call)
        #expect(chain.upstream.last.body == body)
        #expect(chain.upstream.last.head.target == call.target)
        #expect(chain.upstream.last.head.headers["Accept-Encoding"] == ["gzip"])
        #expect(answer.history == nil && answer.sessionID == nil && answer.facts.sessionID == nil)
        #expect(answer.body == completion("ok"))
    }

    @Test func theFieldsThatNameASessionDoNotGoUpstream() async throws {
        let chain = try await ChainFixture(["session": [("unknown_in_body", "create")]])
        var call = Call.chat("s1", [user("hi")], #""top_k":3,"history_mode":"auto","session":null"#)
        call.target = "/v1/chat/completions?a=1&session_id=s1&b=2"
        _ = try await chain.send(call)
        #expect(chain.upstream.last.body == #"{"model":"m","messages":[{"role":"user","content":"hi"}],"top_k":3}"#)
        #expect(chain.upstream.last.head.target == "/v1/chat/completions?a=1&b=2")
    }

    @Test func anUnknownIdInTheBodyOrTheQueryIsRefused() async throws {
        let chain = try await ChainFixture()
        #expect(try await chain.refusal(.chat("nope", [user("hi")]))?.code == "session_not_found")
        var call = Call.chat(nil, [user("hi")])
        call.target += "?session_id=nope"
        #expect(try await chain.refusal(call)?.status == .notFound)
        #expect(chain.upstream.seen.isEmpty)
    }

    @Test func anUnknownIdInTheHeaderMakesTheSession() async throws {
        let chain = try await ChainFixture()
        let first = try await chain.send(.chat(nil, [user("one")]).with("X-Session-ID", "browser-1"))
        let second = try await chain.send(.chat("browser-1", [user("two")]))
        #expect(first.sessionID != nil && first.sessionID == second.sessionID)
        #expect(chain.upstream.last.messages == [user("one"), assistant("ok"), user("two")])
    }

    @Test func bothPoliciesForUnknownIdsCanBeTurnedRound() async throws {
        let chain = try await ChainFixture([
            "session": [("unknown_in_body", "create"), ("unknown_in_header", "refuse")]
        ])
        #expect(try await chain.send(.chat("mine", [user("hi")])).sessionID != nil)
        let header = Call.chat(nil, [user("hi")]).with("X-Session-ID", "other")
        #expect(try await chain.refusal(header)?.code == "session_not_found")
    }

    @Test func twoNamesThatDifferAreAConflict() async throws {
        let chain = try await ChainFixture(["session": [("unknown_in_body", "create")]])
        let call = Call.chat("a", [user("hi")]).with("X-Session-ID", "b")
        #expect(try await chain.refusal(call)?.code == "session_conflict")
        var query = Call.chat("a", [user("hi")])
        query.target += "?session_id=b"
        #expect(try await chain.refusal(query)?.code == "session_conflict")
        #expect(try await chain.send(.chat("a", [user("hi")]).with("X-Session-ID", "a")).status == 200)
    }

    @Test func namesThatOnlyLookTheSameAreAConflict() async throws {
        let chain = try await ChainFixture(["session": [("unknown_in_body", "create")]])
        let (one, two) = ("caf\u{E9}", "cafe\u{301}")
        let call = Call.chat(one, [user("hi")])
        #expect(try await chain.refusal(call.with("X-Session-ID", two))?.code == "session_conflict")
        #expect(try await chain.send(call.with("X-Session-ID", one)).status == 200)
        func named(_ id: String) -> String { #""session":{"agent_id":"a","external_conv_id":"\#(id)"}"# }
        let made = try await chain.send(.chat(nil, [user("one")], named(one))).sessionID
        #expect(try await chain.refusal(.chat(made, [user("x")], named(two)))?.code == "session_conflict")
        #expect(try await chain.send(.chat(made, [user("x")], named(one))).sessionID == made)
    }

    @Test(arguments: ["session_id=a&session_id=b", "session_id=%zz", "session_id="])
    func aQueryThatNamesNoOneSessionIsRefused(_ query: String) async throws {
        let chain = try await ChainFixture(["session": [("unknown_in_body", "create")]])
        var call = Call.chat(nil, [user("hi")])
        call.target += "?\(query)"
        #expect(try await chain.refusal(call)?.status == .badRequest)
        let headers = Call.chat(nil, [user("hi")]).with("X-Session-ID", "a").with("X-Session-ID", "b")
        #expect(try await chain.refusal(headers)?.code == "session_conflict")
    }

    @Test func theServersIdIsAcceptedInBothForms() async throws {
        let chain = try await ChainFixture()
        let made = try await chain.send(.chat(nil, [user("hi")]).with("X-Session-ID", "x")).sessionID ?? ""
        let digits = Array(made.dropFirst("sess_".count))
        let uuid = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }.joined(separator: "-")
        let call = Call.chat(made, [user("again")]).with("X-Session-ID", uuid)
        #expect(try await chain.send(call).sessionID == made)
        #expect(try await chain.send(.chat(uuid, [user("more")])).sessionID == made)
    }

    @Test func aSessionOfAnotherUserIsNotFound() async throws {
        let chain = try await ChainFixture()
        let made = try await chain.send(.chat(nil, [user("secret")]).with("X-Session-ID", "x")).sessionID ?? ""
        #expect(try await chain.refusal(.chat(made, [user("hi")], user: chain.bob))?.code == "session_not_found")
        let header = Call.chat(nil, [user("hi")], user: chain.bob).with("X-Session-ID", made)
        #expect(try await chain.refusal(header)?.code == "session_not_found")
        #expect(try await chain.route(.GET, "/v1/chat/sessions", as: chain.bob).body.contains(#""total":0"#))
        await #expect(throws: GatewayError.self) {
            try await chain.route(.GET, "/v1/chat/sessions/\(made)/messages", as: chain.bob)
        }
        await #expect(throws: GatewayError.self) {
            try await chain.route(.DELETE, "/v1/chat/sessions/\(made)?purge=true", as: chain.bob)
        }
        #expect(try await chain.send(.chat(made, [user("still mine")])).history?.hasPrefix("injected=2") == true)
    }

    @Test func twoUsersMayChooseTheSameIdAndNeverMeet() async throws {
        let chain = try await ChainFixture()
        for principal in [chain.alice, chain.bob] {
            let call = Call.chat(nil, [user("I am \(principal.userName)")], user: principal)
            _ = try await chain.send(call.with("X-Session-ID", "same"))
        }
        _ = try await chain.send(.chat("same", [user("who?")], user: chain.bob))
        #expect(chain.upstream.last.messages == [user("I am bob"), assistant("ok"), user("who?")])
    }

    @Test(arguments: ["", "a\u{0}b", "a\nb", String(repeating: "x", count: 201)])
    func anIdThatCannotBeOneIsRefused(_ id: String) async throws {
        let chain = try await ChainFixture()
        let header = Call.chat(nil, [user("hi")]).with("X-Session-ID", id)
        #expect(try await chain.refusal(header)?.code == "invalid_session_id")
    }

    @Test(arguments: ["../../etc/passwd", "a'; DROP TABLE sessions; --", "%", "naïve 🙂 id"])
    func anIdIsOnlyEverAName(_ id: String) async throws {
        let chain = try await ChainFixture()
        let call = Call.chat(nil, [user("hi")]).with("X-Session-ID", id)
        let made = try await chain.send(call).sessionID
        #expect(try await chain.send(call).sessionID == made)
        #expect(chain.upstream.last.messages.count == 3)
    }

    @Test func aConversationOfAnAgentIsFoundOrMade() async throws {
        let chain = try await ChainFixture()
        let more = #""session":{"agent_id":"a1","external_conv_id":"c1","source_channel":"chat","title":"T"}"#
        let first = try await chain.send(.chat(nil, [user("one")], more))
        let second = try await chain.send(.chat(nil, [user("two")], more))
        #expect(first.sessionID == second.sessionID)
        #expect(chain.upstream.last.messages.count == 3)
        let other = #""session":{"agent_id":"a2","external_conv_id":"c1"}"#
        #expect(try await chain.send(.chat(nil, [user("one")], other)).sessionID != first.sessionID)
        let conflict = Call.chat(first.sessionID, [user("x")], other)
        #expect(try await chain.refusal(conflict)?.code == "session_conflict")
        #expect(try await chain.refusal(.chat(nil, [user("x")], #""session":{"agent_id":"a"}"#))?.status == .badRequest)
    }

    @Test func aConversationIsNotAnsweredUnderAnotherSessionsNewID() async throws {
        let chain = try await ChainFixture()
        let conversation = #""session":{"agent_id":"a1","external_conv_id":"c1"}"#
        let made = try await chain.send(.chat(nil, [user("one")], conversation))
        let call = Call.chat(nil, [user("two")], conversation).with("X-Session-ID", "new")
        #expect(try await chain.refusal(call)?.code == "session_conflict")
        #expect(try await chain.send(.chat(nil, [user("two")], conversation)).sessionID == made.sessionID)
        let both = Call.chat(nil, [user("1")], #""session":{"agent_id":"a1","external_conv_id":"c2"}"#)
            .with("X-Session-ID", "new")
        #expect(try await chain.send(both).sessionID == (try await chain.send(both).sessionID))
    }

    @Test(arguments: [#""session_id":7"#, #""session":"x""#, #""history_mode":"always""#, #""history_mode":1"#])
    func aFieldOfAnotherTypeIsRefused(_ field: String) async throws {
        let chain = try await ChainFixture()
        #expect(try await chain.refusal(.chat(nil, [user("hi")], field))?.status == .badRequest)
    }

    @Test func aSessionThatIsSwitchedOffIsNeitherReadNorWritten() async throws {
        let chain = try await ChainFixture()
        let made = try await chain.send(.chat(nil, [user("one")]).with("X-Session-ID", "s"))
        let task = try await chain.send(.chat("s", [user("make a title")], #""history_mode":"off""#))
        #expect(chain.upstream.last.messages == [user("make a title")])
        #expect(task.history == nil && task.sessionID == nil && task.facts.sessionID == nil)
        let header = Call.chat("s", [user("tags")]).with("X-History-Mode", "off")
        #expect(try await chain.send(header).sessionID == nil)
        #expect(try await chain.send(.chat("s", [user("two")])).sessionID == made.sessionID)
        #expect(chain.upstream.last.messages == [user("one"), assistant("ok"), user("two")])
    }

    @Test func theModeOfARequestGoesBeforeTheSessionsAndThatBeforeTheConfigured() async throws {
        let chain = try await ChainFixture(["session": [("history_mode", "off")]])
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"s","history_mode":"append"}"#)
        _ = try await chain.send(.chat("s", [user("a")]))
        _ = try await chain.send(.chat("s", [user("a"), assistant("ok"), user("b")]))
        #expect(chain.upstream.last.messages.count == 5)
        _ = try await chain.send(.chat("s", [user("a"), assistant("ok"), user("b")], #""history_mode":"replace""#))
        #expect(chain.upstream.last.messages.count == 3)
        _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"t"}"#)
        #expect(try await chain.send(.chat("t", [user("a")])).sessionID == nil)
    }
}
