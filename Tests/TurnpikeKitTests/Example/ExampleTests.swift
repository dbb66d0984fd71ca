import Foundation
import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing
import TurnpikeKit

/// The plugin of `docs/writing-a-plugin.md`, as its readers would use it.
@Suite struct ExampleTests {
    @Test func theDocumentationShowsTheFileThatIsTestedHere() throws {
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(contentsOf: root.appending(path: "docs/writing-a-plugin.md"), encoding: .utf8)
        let code = try String(contentsOf: here.appending(path: "CeilingPlugin.swift"), encoding: .utf8)
        #expect(page.contains("```swift\n" + code + "```"))
    }

    private struct Upstream: Middleware {
        func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
            let sent = try await request.body.collect(upTo: 1 << 10)
            let events = "data: \(String(buffer: sent))\n\ndata: [DONE]\n\n"
            return Response(
                status: .ok, headers: ["Content-Type": "text/event-stream"], body: .bytes(ByteBuffer(string: events)))
        }
    }

    private func ask(_ body: String, _ counter: EventCounter) async throws -> Response {
        let head = RequestHead(method: .POST, target: "/v1/chat/completions")
        let exchange = Exchange(head: head, eventLoop: EmbeddedEventLoop(), logger: Logger(label: "t"))
        exchange[EndpointKey.self] = .chatCompletions
        let middleware = CeilingMiddleware(maximum: 0.5, bodyLimit: 1 << 10, counter: counter)
        let chain = Chain([.init(id: "ceiling", middleware: middleware), .init(id: "up", middleware: Upstream())])
        return try await chain.run(Request(head: head, body: RequestBody(ByteBuffer(string: body))), in: exchange)
    }

    @Test func lowersWhatIsTooHighAndLeavesTheRestAsItCame() async throws {
        var answer = try await ask(#"{"model":"m", "temperature": 0.9 ,"x":1}"#, EventCounter())
        #expect(answer.headers["x-ceiling"] == ["0.5"])
        let text = String(buffer: try await answer.collect(upTo: 1 << 10))
        #expect(text.contains(#"{"model":"m", "temperature": 0.5 ,"x":1}"#))
    }

    @Test func countsTheEventsThatPassed() async throws {
        let counter = EventCounter()
        var answer = try await ask(#"{"model":"m"}"#, counter)
        try await answer.collect(upTo: 1 << 10)
        #expect(counter.value == 2)
    }
}
