import NIOCore
import NIOHTTP1
import OpenAIWire
import Testing

@testable import TurnpikeKit

/// What a step asks of a request whose messages an earlier step has put together.
@Suite struct ChatShapeTests {
    private func request(_ json: String) -> Request {
        Request(
            head: RequestHead(method: .POST, target: "/v1/chat/completions"),
            body: RequestBody(ByteBuffer(string: json)))
    }

    private func edited(_ json: String, _ edit: JSONEdit) async throws -> Request {
        var request = request(json)
        let chat = try await request.chatRequest(upTo: 1_000)
        request.body = try await request.body.edited(chat.object, [edit])
        return request
    }

    @Test func isKnownWithoutAScanWhereTheMessagesAloneWereChanged() async throws {
        let edit = JSONEdit.set("messages", ByteBuffer(string: "[1]"))
        let request = try await edited(#"{"model":"m","messages":[],"stream":true,"n":2}"#, edit)
        let shape = try await request.chatShape(upTo: 1_000)
        #expect(shape.stream && shape.n == 2)
        #expect(request.scannedChatRequest == nil)
    }

    @Test func isReadAnewWhereItWasChanged() async throws {
        let streamed = try await edited(#"{"model":"m","stream":true}"#, .set("stream", ByteBuffer(string: "false")))
        #expect(try await streamed.chatShape(upTo: 1_000).stream == false)
        let choices = try await edited(#"{"model":"m","n":2}"#, .remove("n"))
        #expect(try await choices.chatShape(upTo: 1_000).n == 1)
    }

    @Test func survivesSeveralEdits() async throws {
        var request = try await edited(#"{"model":"m","n":3}"#, .set("messages", ByteBuffer(string: "[]")))
        let object = try JSONObject(scanning: try await request.body.collect(upTo: 1_000))
        request.body = try await request.body.edited(object, [.remove("model")])
        #expect(try await request.chatShape(upTo: 1_000).n == 3)
    }
}
