import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import OpenAIWire
import Testing
import TurnpikeKit

@testable import EchoProvider

@Suite struct EchoProviderTests {
    private let provider = EchoProvider(logger: Logger(label: "echo") { _ in SwiftLogNoOpLogHandler() }, pace: .zero)

    private func answer(_ body: String, _ method: HTTPMethod = .POST, _ target: String = "/v1/chat/completions")
        async throws
        -> Response
    {
        let head = RequestHead(method: method, target: target)
        let exchange = provider.begin(head, peerAddress: "", on: MultiThreadedEventLoopGroup.singleton.next())
        let request = Request(head: head, body: RequestBody(ByteBuffer(string: body)))
        var response = await provider.respond(to: request, in: exchange)
        try await response.collect(upTo: 1 << 24)
        return response
    }

    private func object(_ response: Response) throws -> JSONObject {
        guard case .bytes(let bytes) = response.body else { throw WireError.missing("body") }
        try JSON.validate(bytes)
        return try JSONObject(scanning: bytes)
    }

    /// The chunks of a streamed answer; checks that it ends with `[DONE]` and leaves nothing over.
    private func chunks(_ response: Response) throws -> [JSONObject] {
        guard case .bytes(let bytes) = response.body else { throw WireError.missing("body") }
        var parser = ServerSentEventParser(maxEventBytes: 1 << 20)
        parser.append(bytes)
        var events: [ServerSentEvent] = []
        while let event = try parser.next() { events.append(event) }
        #expect(parser.finish().readableBytes == 0)
        #expect(events.popLast()?.isDone == true)
        return try events.map { try JSONObject(scanning: try #require($0.data)) }
    }

    private func delta(_ chunk: JSONObject) throws -> JSONObject? {
        try chunk["choices"]?.array()?.first?.object()?["delta"]?.object()
    }

    private func message(_ completion: JSONObject) throws -> JSONObject {
        let choice = try #require(try completion["choices"]?.array()?.first?.object())
        return try #require(try choice["message"]?.object())
    }

    private static let conversation = """
        {"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"My name is Ada 🦀."},\
        {"role":"assistant","content":"Hi"},{"role":"user","content":[{"type":"text","text":"Who  am\\nI?"}]}]
        """

    @Test func tellsWhatItWasSentHistoryIncluded() async throws {
        let response = try await answer(Self.conversation + "}")
        #expect(response.status == .ok)
        let completion = try object(response)
        #expect(completion["object"]?.string == "chat.completion")
        #expect(completion["model"]?.string == "m")
        #expect(completion["id"]?.string?.hasPrefix("chatcmpl-") == true)
        let text = try message(completion)["content"]?.string
        #expect(text == "I received 4 messages. You said “Who  am\nI?”. Before that you said “My name is Ada 🦀.”.")
    }

    @Test func aStreamGivesTheSameTextInPieces() async throws {
        let plain = try message(try object(try await answer(Self.conversation + "}")))["content"]?.string
        let response = try await answer(Self.conversation + ",\"stream\":true}")
        #expect(response.headers.first(name: "content-type") == "text/event-stream")
        let chunks = try chunks(response)
        #expect(chunks.count > 10)
        let pieces = try chunks.compactMap { try delta($0)?["content"]?.string }
        #expect(pieces.joined() == plain)
        #expect(try delta(chunks[0])?["role"]?.string == "assistant")
        #expect(try chunks.last?["choices"]?.array()?.first?.object()?["finish_reason"]?.string == "stop")
        #expect(Set(chunks.map { $0["id"]?.string }).count == 1)
        #expect(chunks.allSatisfy { $0["usage"] == nil })
    }

    @Test func usageIsTheSameInBothFormsAndOnlyWhereAsked() async throws {
        let plain = try #require(try object(try await answer(Self.conversation + "}"))["usage"]?.object())
        let streamed = try await answer(
            Self.conversation + ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}")
        let chunks = try chunks(streamed)
        let last = try #require(chunks.last)
        #expect(try last["choices"]?.array()?.isEmpty == true)
        let usage = try #require(try last["usage"]?.object())
        for key in ["prompt_tokens", "completion_tokens", "total_tokens"] {
            #expect(String(buffer: try #require(usage[key]).bytes) == String(buffer: try #require(plain[key]).bytes))
        }
        #expect(chunks.dropLast().allSatisfy { $0["usage"].map { String(buffer: $0.bytes) } == "null" })
    }

    private static let tools = """
        "tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":\
        {"city":{"type":"string"},"days":{"type":"integer"},"list":{"type":"array"}},"required":["city","days","list"]}}}]
        """

    @Test(arguments: [
        ("Call get_weather in Oslo", "", true), ("Hello", "", false), ("Hello", ",\"tool_choice\":\"required\"", true),
        ("Call get_weather", ",\"tool_choice\":\"none\"", false),
        ("Hello", ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"get_weather\"}}", true),
    ])
    func callsAToolWhenAsked(text: String, choice: String, isCalled: Bool) async throws {
        let body = "{\"messages\":[{\"role\":\"user\",\"content\":\"\(text)\"}],\(Self.tools)\(choice)"
        let completion = try object(try await answer(body + "}"))
        let call = try message(completion)["tool_calls"]?.array()?.first?.object()
        #expect((call != nil) == isCalled)
        guard let call else { return }
        #expect(call["id"]?.string?.hasPrefix("call_") == true)
        #expect(call["index"] == nil, "The index belongs to streams.")
        let function = try #require(try call["function"]?.object())
        #expect(function["arguments"]?.string == "{\"city\":\"\(text)\",\"days\":1,\"list\":[]}")

        let streamed = try chunks(try await answer(body + ",\"stream\":true}"))
        let parts = try streamed.compactMap { try delta($0)?["tool_calls"]?.array()?.first?.object() }
        #expect(parts.first?["index"] != nil)
        let arguments = try parts.compactMap { try $0["function"]?.object()?["arguments"]?.string }.joined()
        #expect(arguments == function["arguments"]?.string)
    }

    @Test func aToolsResultIsAnsweredWithText() async throws {
        let body = """
            {"messages":[{"role":"user","content":"get_weather"},{"role":"tool","tool_call_id":"c","content":"sunny"}],\
            \(Self.tools),"tool_choice":"required"}
            """
        let text = try message(try object(try await answer(body)))["content"]?.string
        #expect(text == "I received 2 messages. The tool answered “sunny”.")
    }

    @Test func listsItsModel() async throws {
        let list = try object(try await answer("", .GET, "/v1/models"))
        #expect(try list["data"]?.array()?.first?.object()?["id"]?.string == "echo")
        #expect(try object(try await answer("", .GET, "/v1/models/echo?x=1"))["id"]?.string == "echo")
    }

    @Test(arguments: [
        ("/v1/embeddings", HTTPMethod.POST), ("/v1/chat/completions", .GET), ("/", .GET), ("/v1/models/x", .GET),
    ])
    func anUnknownPathIsAnError(target: String, method: HTTPMethod) async throws {
        let response = try await answer("{}", method, target)
        #expect(response.status == .notFound)
        #expect(try object(response)["error"]?.object()?["code"]?.string == "unknown_url")
    }

    @Test(arguments: [
        "", "{", "[]", "null", "{}", "{\"messages\":{}}", "{\"messages\":[]}", "{\"messages\":[1,\"x\",null]}",
        "{\"messages\":[{\"role\":\"user\"", "\u{0}", "{\"messages\":\"x\"}",
        String(repeating: "[", count: 100_000), "{\"messages\":" + String(repeating: "[", count: 100_000),
    ])
    func hostileJSONIsRefusedInTheEnvelope(body: String) async throws {
        let response = try await answer(body)
        #expect(response.status == .badRequest)
        #expect(try object(response)["error"]?.object()?["message"]?.string?.isEmpty == false)
    }

    @Test(arguments: [
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":{}}",
        "{\"messages\":[{}]}", "{\"messages\":[{\"role\":1,\"content\":2}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":[[],1,null,{\"text\":3}]}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\\u0000\"}],\"stream\":\"yes\",\"stream_options\":7}",
        "{\"messages\":[{\"role\":\"user\",\"content\":null}],\"tools\":[1,{},{\"function\":{}}],\"tool_choice\":[]}",
        "{\"model\":null,\"messages\":[{\"role\":\"tool\"}],\"model\":5}",
    ])
    func oddJSONNeverTraps(body: String) async throws {
        let response = try await answer(body)
        #expect(response.status == .ok || response.status == .badRequest)
        _ = try object(response)
    }

    @Test func everyPrefixOfARequestIsAnsweredOrRefused() async throws {
        let whole = Array((Self.conversation + "," + Self.tools + "}").utf8)
        for count in 0..<whole.count {
            let response = try await answer(String(decoding: whole[..<count], as: UTF8.self))
            #expect(response.status == .badRequest, "after \(count) bytes")
        }
    }
}
