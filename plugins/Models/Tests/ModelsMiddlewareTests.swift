import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import OpenAIWire
import Synchronization
import Testing
import TurnpikeKit

@testable import ModelsPlugin

/// Answers every request with what it was given, and keeps the plan.
private struct Upstream: Middleware {
    let answer: Response

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        var answer = answer
        answer.headers.add(
            name: "x-plan",
            value: exchange[RoutePlanKey.self]?.targets.map(\.provider.name).joined(separator: ",") ?? "-")
        return answer
    }
}

private final class WatchedBody: BodySource {
    let wasCancelled = Mutex(false)
    func start(_ sink: any BodySink) {}
    func setPaused(_ isPaused: Bool) {}
    func cancel() { wasCancelled.withLock { $0 = true } }
}

@Suite struct ModelsMiddlewareTests {
    private let open = Provider(name: "open", baseURL: "http://open/v1", passthrough: ["/files", "/chat/completions"])
    private let closed = Provider(name: "closed", baseURL: "http://closed/v1")

    private func answer(
        _ endpoint: Endpoint, _ target: String, body: String = "", entries: [String: ModelTable.Entry]? = nil,
        providers: Providers? = nil, upstream: Response = .json(ByteBuffer(string: "{}"))
    ) async throws -> Response {
        let table = ModelTable(
            entries ?? ["*": .init(targets: [.init(provider: closed, model: nil, weight: 1)], fallback: [])])
        let middleware = ModelsMiddleware(
            table: table, providers: providers ?? Providers([closed, open], fallback: closed), bodyLimit: 1 << 20)
        let head = RequestHead(method: body.isEmpty ? .GET : .POST, target: target)
        let exchange = Exchange(
            head: head, eventLoop: MultiThreadedEventLoopGroup.singleton.next(), logger: Logger(label: "t"))
        exchange[EndpointKey.self] = endpoint
        let request = Request(head: head, body: RequestBody(ByteBuffer(string: body)))
        if endpoint == .json {
            exchange.note { $0.requestedModel = try? JSONObject(scanning: ByteBuffer(string: body))["model"]?.string }
        }
        let chain = Chain([
            .init(id: "models", middleware: middleware), .init(id: "up", middleware: Upstream(answer: upstream)),
        ])
        return try await chain.run(request, in: exchange)
    }

    private func text(_ response: Response) throws -> String {
        guard case .bytes(let bytes) = response.body else { return "" }
        return String(buffer: bytes)
    }

    private func code(_ body: () async throws -> Response) async -> String {
        do { return "\(try await body().status.code)" } catch { return (error as? GatewayError)?.code ?? "\(error)" }
    }

    @Test func plansTheProviderOfTheModel() async throws {
        let response = try await answer(.chatCompletions, "/v1/chat/completions", body: #"{"model":"m","messages":[]}"#)
        #expect(response.headers["x-plan"] == ["closed"])
    }

    @Test func refusesAModelThatNobodyHas() async {
        let entries = ["m": ModelTable.Entry(targets: [.init(provider: closed, model: nil, weight: 1)], fallback: [])]
        #expect(
            await code {
                try await answer(
                    .chatCompletions, "/v1/chat/completions", body: #"{"model":"x","messages":[]}"#, entries: entries)
            } == "model_not_found")
    }

    @Test func embeddingsNeedAModelAndModerationsDoNot() async {
        #expect(await code { try await answer(.json, "/v1/embeddings", body: "{}") } == "missing_required_parameter")
        #expect(await code { try await answer(.json, "/v1/moderations", body: "{}") } == "200")
    }

    @Test func storingIsRefusedUnlessEveryTargetIsOpen() async {
        let body = #"{"model":"m","messages":[],"store":true}"#
        #expect(
            await code { try await answer(.chatCompletions, "/v1/chat/completions", body: body) } == "store_not_enabled"
        )
        let entries = ["*": ModelTable.Entry(targets: [.init(provider: open, model: nil, weight: 1)], fallback: [])]
        #expect(
            await code { try await answer(.chatCompletions, "/v1/chat/completions", body: body, entries: entries) }
                == "200")
    }

    @Test func aStatefulEndpointGoesToTheProviderThatOpensItOrNowhere() async throws {
        #expect(try await answer(.stateful, "/v1/files/f-1").headers["x-plan"] == ["open"])
        #expect(await code { try await answer(.stateful, "/v1/filesystem") } == "endpoint_not_enabled")
        #expect(await code { try await answer(.stateful, "/v1/batches") } == "endpoint_not_enabled")
        #expect(await code { try await answer(.unknown, "/v1/new") } == "unknown_url")
    }

    @Test func aProviderThatPassesEverythingGetsEverything() async throws {
        let all = Provider(name: "all", baseURL: "http://all/v1", passthrough: ["*"])
        #expect(
            try await answer(.unknown, "/v1/new", providers: Providers([all], fallback: all)).headers["x-plan"] == [
                "all"
            ])
    }

    @Test func aRequestWithoutAModelNeedsADefaultProvider() async {
        let entries = ["m": ModelTable.Entry(targets: [.init(provider: closed, model: nil, weight: 1)], fallback: [])]
        let none = Providers([closed, open], fallback: nil)
        #expect(
            await code { try await answer(.streamed, "/v1/audio/transcriptions", entries: entries, providers: none) }
                == "no_default_provider")
    }

    @Test func listsItsOwnNamesBesideTheProvidersAndKeepsTheRestOfTheList() async throws {
        let entries = [
            "*": ModelTable.Entry(targets: [.init(provider: closed, model: nil, weight: 1)], fallback: []),
            "fast": .init(targets: [.init(provider: open, model: "x", weight: 1)], fallback: []),
        ]
        let list = #"{"object":"list","data":[{"id":"gpt","x":1}],"more":true}"#
        let response = try await answer(
            .models(id: nil), "/v1/models", entries: entries, upstream: .json(ByteBuffer(string: list)))
        #expect(
            try text(response)
                == #"{"object":"list","data":[{"id":"fast","object":"model","created":0,"owned_by":"open"},{"id":"gpt","x":1}],"more":true}"#
        )
    }

    @Test func listsItsOwnNamesWhenTheProviderFails() async throws {
        let entries = [
            "*": ModelTable.Entry(targets: [.init(provider: closed, model: nil, weight: 1)], fallback: []),
            "fast": .init(targets: [.init(provider: open, model: "x", weight: 1)], fallback: []),
        ]
        let body = WatchedBody()
        let response = try await answer(
            .models(id: nil), "/v1/models", entries: entries,
            upstream: Response(status: .badGateway, body: .stream(body)))
        #expect(try text(response).contains(#""id":"fast""#))
        #expect(body.wasCancelled.withLock { $0 }, "what is not given to the client is given up")
        let unreadable = try await answer(
            .models(id: nil), "/v1/models", entries: entries, upstream: .json(ByteBuffer(string: "[1]")))
        #expect(try text(unreadable).contains(#""id":"fast""#))
    }

    @Test func passesTheListUntouchedWhenItHasNothingToAdd() async throws {
        let response = try await answer(.models(id: nil), "/v1/models", upstream: .json(ByteBuffer(string: " [1]")))
        #expect(try text(response) == " [1]")
    }
}
