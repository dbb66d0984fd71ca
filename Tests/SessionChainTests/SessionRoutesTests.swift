import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

@Suite struct SessionRoutesTests {
    private func object(_ text: String) throws -> JSONObject { try JSONObject(scanning: ByteBuffer(string: text)) }

    @Test(arguments: ["/v1/chat/sessions", "/chat/sessions"]) func aSessionIsMadeReadAndDeleted(_ base: String)
        async throws
    {
        let chain = try await ChainFixture()
        let body =
            #"{"session_name":"Trip","model":"m","max_history_messages":4,"agent_id":"a","external_conv_id":"e","#
            + #""source_channel":"web","metadata":{"k":[1]},"unknown":1}"#
        let made = try await chain.route(.POST, base, body: body)
        let session = try object(made.body)
        let id = session["id"]?.string ?? ""
        #expect(made.status == 201 && id.hasPrefix("sess_") && session["session_id"]?.string == id)
        #expect(session["title"]?.string == "Trip" && session["max_history_messages"]?.int == 4)
        #expect(session["metadata"].map { String(buffer: $0.bytes) } == #"{"k":[1]}"#)
        #expect((session["created_at"]?.int ?? 0) > 1_000_000_000 && (session["created_at"]?.int ?? 0) < 1 << 33)
        #expect(try await chain.route(.GET, "\(base)/\(id)").body == made.body)
        #expect(try await chain.route(.POST, base, body: body).status == 200)
        let deleted = try await chain.route(.DELETE, "\(base)/\(id)").body
        #expect(try object(deleted)["deleted"]?.bool == true)
        await #expect(throws: GatewayError.self) { try await chain.route(.GET, "\(base)/\(id)") }
        await #expect(throws: GatewayError.self) { try await chain.route(.DELETE, "\(base)/\(id)") }
        #expect(try await chain.route(.DELETE, "\(base)/\(id)?purge=true").status == 200)
        await #expect(throws: GatewayError.self) { try await chain.route(.DELETE, "\(base)/\(id)?purge=true") }
    }

    @Test func aDeletedSessionIsNotContinued() async throws {
        let chain = try await ChainFixture()
        let id = try object(try await chain.route(.POST, "/v1/chat/sessions").body)["id"]?.string ?? ""
        _ = try await chain.send(.chat(id, [user("hi")]))
        _ = try await chain.route(.DELETE, "/v1/chat/sessions/\(id)")
        #expect(try await chain.refusal(.chat(id, [user("hi")]))?.code == "session_not_found")
        let header = Call.chat(nil, [user("hi")]).with("X-Session-ID", id)
        #expect(try await chain.refusal(header)?.code == "session_not_found")
    }

    @Test func anIdThatIsTakenIsAConflict() async throws {
        let chain = try await ChainFixture()
        #expect(try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"mine"}"#).status == 201)
        await #expect { try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"mine"}"#) } throws: {
            ($0 as? GatewayError)?.code == "session_exists"
        }
        let other = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"id":"mine"}"#, as: chain.bob)
        #expect(other.status == 201)
    }

    @Test(arguments: [
        "[]", "{", #"{"title":1}"#, #"{"max_history_messages":-1}"#, #"{"metadata":[]}"#, #"{"history_mode":"x"}"#,
        #"{"id":"sess_0"}"#, #"{"id":""}"#, #"{"external_conv_id":7}"#,
    ])
    func aBodyThatIsWrongIsRefused(_ body: String) async throws {
        let chain = try await ChainFixture()
        await #expect { try await chain.route(.POST, "/v1/chat/sessions", body: body) } throws: {
            ($0 as? GatewayError)?.status == .badRequest
        }
    }

    /// They are stored one by one, those at the end of the file first.
    @Test(arguments: [#""source_channel":"\#(String(repeating: "c", count: 65))""#, #""title":7"#])
    func anImportWithASessionThatIsWrongStoresNone(_ member: String) async throws {
        let chain = try await ChainFixture()
        let messages = #""messages":[{"role":"user","content":"hi"}]"#
        let file = #"{"sessions":[{\#(member),\#(messages)},{"title":"right",\#(messages)}]}"#
        await #expect { try await chain.route(.POST, "/v1/chat/import", body: file) } throws: {
            ($0 as? GatewayError)?.status == .badRequest
        }
        #expect(try object(try await chain.route(.GET, "/v1/chat/sessions").body)["total"]?.int == 0)
    }

    @Test func aListHasPagesAndATotal() async throws {
        let chain = try await ChainFixture()
        for number in 1...5 { _ = try await chain.route(.POST, "/v1/chat/sessions", body: #"{"title":"\#(number)"}"#) }
        let page = try object(try await chain.route(.GET, "/v1/chat/sessions?limit=2&offset=4").body)
        #expect(page["total"]?.int == 5 && page["has_more"]?.bool == false)
        #expect(try page["data"]?.array()?.count == 1)
        for query in ["limit=0", "limit=x", "offset=-1", "limit=99999999999999999999"] {
            await #expect(throws: GatewayError.self) { try await chain.route(.GET, "/v1/chat/sessions?\(query)") }
        }
    }

    @Test func messagesAreGivenAsTheyCame() async throws {
        let chain = try await ChainFixture()
        let id = try object(try await chain.route(.POST, "/v1/chat/sessions").body)["id"]?.string ?? ""
        let question = #"{"role":"user","content":[{"type":"text","text":"hi"}],"x":1}"#
        _ = try await chain.send(.chat(id, [question]))
        let page = try object(try await chain.route(.GET, "/v1/chat/sessions/\(id)/messages").body)
        let messages = try page["data"]?.array()?.compactMap { try $0.object() } ?? []
        #expect(messages.map { $0["role"]?.string } == ["user", "assistant"])
        #expect(messages.first?["message"].map { String(buffer: $0.bytes) } == question)
        #expect(messages.last?["content"]?.string == "ok")
    }
}
