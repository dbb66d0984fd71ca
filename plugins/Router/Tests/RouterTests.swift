import Glibc
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import OpenAIWire
import Synchronization
import Testing
import TurnpikeKit

@testable import RouterPlugin

/// Gives its answers one by one and keeps what it was sent.
private final class ScriptedClient: UpstreamClient {
    private let answers: Mutex<[Result<Response, GatewayError>]>
    private let kept = Mutex<[UpstreamRequest]>([])

    init(_ answers: [Result<Response, GatewayError>]) { self.answers = Mutex(answers) }

    var sent: [UpstreamRequest] { kept.withLock { $0 } }

    func send(_ request: UpstreamRequest, in exchange: Exchange) async throws -> Response {
        kept.withLock { $0.append(request) }
        return try answers.withLock { $0.removeFirst() }.get()
    }
}

private final class WatchedBody: BodySource {
    let wasCancelled = Mutex(false)
    func start(_ sink: any BodySink) {}
    func setPaused(_ isPaused: Bool) {}
    func cancel() { wasCancelled.withLock { $0 = true } }
}

/// Says how much it has to look at, and remembers on which threads it did.
private final class WatchedFitting: RequestFitting {
    private let size: Int
    let threads = Mutex<[String]>([])

    init(_ size: Int) { self.size = size }

    func size(for target: RouteTarget) -> Int { size }

    func edits(for target: RouteTarget) -> [JSONEdit] {
        let name = Self.threadName()
        threads.withLock { $0.append(name) }
        return [.set("fitted", ByteBuffer(string: "true"))]
    }

    private static func threadName() -> String {
        let file = open("/proc/thread-self/comm", O_RDONLY)
        defer { close(file) }
        var name = [UInt8](repeating: 0, count: 64)
        let count = read(file, &name, name.count)
        return String(decoding: name.prefix(max(0, count)), as: UTF8.self)
    }
}

@Suite struct RouterTests {
    private let one = Provider(name: "one", baseURL: "http://one/v1", apiKey: Secret("sk-one"))
    private let two = Provider(name: "two", baseURL: "https://two/api")

    private func route(
        _ client: ScriptedClient, _ targets: [RouteTarget], target: String = "/v1/chat/completions?a=b%26c",
        headers: HTTPHeaders = [:], body: String = #"{ "model" : "m","messages":[] }"#,
        prepare: (Exchange) -> Void = { _ in }
    ) async throws -> (Response, Exchange) {
        let head = RequestHead(method: .POST, target: target, headers: headers)
        let exchange = Exchange(
            head: head, eventLoop: MultiThreadedEventLoopGroup.singleton.next(), logger: Logger(label: "t"))
        exchange[RoutePlanKey.self] = RoutePlan(requestedModel: "m", targets: targets)
        prepare(exchange)
        let chain = Chain([.init(id: "router", middleware: RouterMiddleware(client: client, bodyLimit: 1 << 20))])
        let response = try await chain.run(
            Request(head: head, body: RequestBody(ByteBuffer(string: body))), in: exchange)
        return (response, exchange)
    }

    private func body(_ request: UpstreamRequest) async throws -> String {
        String(buffer: try await request.body.collect(upTo: 1 << 20))
    }

    private static func unreachable(_ retry: GatewayError.Retry) -> GatewayError {
        GatewayError(.upstream, .badGateway, code: "upstream_unreachable", "no", retry: retry)
    }

    @Test func keepsPathQueryAndBodyAsTheyCame() async throws {
        let client = ScriptedClient([.success(Response(status: .ok))])
        _ = try await route(client, [RouteTarget(provider: one, model: "m")])
        #expect(client.sent[0].url == "http://one/v1/chat/completions?a=b%26c")
        #expect(try await body(client.sent[0]) == #"{ "model" : "m","messages":[] }"#)
    }

    @Test func splicesTheProvidersNameOfTheModel() async throws {
        let client = ScriptedClient([.success(Response(status: .ok))])
        _ = try await route(client, [RouteTarget(provider: two, model: "llama \"8b\"")])
        #expect(try await body(client.sent[0]) == #"{ "model" : "llama \"8b\"","messages":[] }"#)
    }

    @Test func sendsTheProvidersCredentialAndNoneOfTheClients() async throws {
        let client = ScriptedClient([.success(Response(status: .ok))])
        let headers: HTTPHeaders = [
            "Authorization": "Bearer tp-secret", "cookie": "a", "X-Api-Key": "k", "X-Forwarded-For": "1",
            "Connection": "x-hop",
            "x-hop": "1", "Host": "h", "Content-Length": "9", "X-Stainless-Lang": "python", "x-session-id": "s",
            "OpenAI-Organization": "o",
            "X-Turnpike-Debug": "1", "X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/v1/files",
            "X-Rewrite-URL": "/v1/files", "Proxy": "http://elsewhere", "True-Client-IP": "1",
            "Idempotency-Key": "k", "Referer": "http://inside/?token=1", "x-goog-api-key": "k", "X-AUTH-TOKEN": "t",
            "api-key": "k", "apikey": "k", "X-ApiKey": "k", "Helicone-Auth": "Bearer k", "X-Amz-Security-Token": "t",
            "X-Client-Secret": "s", "X-Serverless-Authorization": "Bearer k",
            "x-portkey-custom-host": "http://elsewhere",
        ]
        _ = try await route(client, [RouteTarget(provider: one, model: "m")], headers: headers)
        #expect(
            client.sent[0].headers.map { "\($0.name): \($0.value)" } == [
                "X-Stainless-Lang: python", "Authorization: Bearer sk-one",
            ])
    }

    @Test func keepsTheAnswersHeadersButForTheDenied() async throws {
        let headers: HTTPHeaders = [
            "Content-Type": "x", "X-Request-ID": "up-1", "Set-Cookie": "c", "Transfer-Encoding": "chunked",
            "Content-Length": "2",
            "openai-version": "1", "X-Turnpike-History": "forged", "X-Session-ID": "forged",
            "Authorization": "Bearer sk-one", "OpenAI-Organization": "org-1", "OpenAI-Project": "proj-1",
        ]
        let client = ScriptedClient([.success(Response(status: .ok, headers: headers))])
        let (response, exchange) = try await route(client, [RouteTarget(provider: one, model: "m")])
        #expect(
            Set(response.headers.map(\.name)) == ["Content-Type", "X-Request-ID", "openai-version", "Content-Length"])
        #expect(exchange.facts.provider == "one" && exchange.facts.upstreamStatus == 200)
    }

    @Test(arguments: [429, 500, 502, 503, 504])
    func triesTheNextTargetAfterAnAnswerThatInvitesIt(status: Int) async throws {
        let unread = WatchedBody()
        let client = ScriptedClient([
            .success(Response(status: .init(statusCode: status), body: .stream(unread))),
            .success(Response(status: .ok)),
        ])
        let (response, exchange) = try await route(
            client, [.init(provider: one, model: "m"), .init(provider: two, model: "n")])
        #expect(response.status == .ok && exchange.facts.provider == "two")
        #expect(unread.wasCancelled.withLock { $0 }, "the refused answer's connection is given up")
    }

    @Test(arguments: [(1, false), (1 << 20, true)])
    func longHistoriesAreFittedAwayFromTheEventLoop(size: Int, isAway: Bool) async throws {
        let fitting = WatchedFitting(size)
        let client = ScriptedClient([.failure(Self.unreachable(.safe)), .success(Response(status: .ok))])
        _ = try await route(client, [.init(provider: one, model: "m"), .init(provider: two, model: "m")]) {
            $0[RequestFittingKey.self] = fitting
        }
        #expect(fitting.threads.withLock { $0.map { $0.hasPrefix("bodies") } } == [isAway])
        #expect(try await body(client.sent[1]) == #"{ "model" : "m","messages":[],"fitted":true }"#)
    }

    @Test(arguments: [true, false])
    func eachTargetIsAskedForUsageAsItWantsToBe(firstAsks: Bool) async throws {
        var (asking, other) = (one, two)
        (asking.asksForUsage, other.asksForUsage) = (firstAsks, !firstAsks)
        let client = ScriptedClient([.failure(Self.unreachable(.safe)), .success(Response(status: .ok))])
        let (asked, plain) = (#"{"stream_options":{"include_usage":true}}"#, #"{"stream_options":{"x":1}}"#)
        let value = { (text: String) in ByteBuffer(string: String(text.dropFirst(18).dropLast())) }
        _ = try await route(
            client, [.init(provider: asking, model: "m"), .init(provider: other, model: "m")],
            body: firstAsks ? asked : plain
        ) {
            $0[UsageEditsKey.self] = UsageEdits(
                isAsked: firstAsks, asking: .set("stream_options", value(asked)),
                restoring: .set("stream_options", value(plain)))
        }
        #expect(try await body(client.sent[0]) == (firstAsks ? asked : plain))
        #expect(try await body(client.sent[1]) == (firstAsks ? plain : asked))
    }

    @Test func theLastTargetsAnswerIsTheClients() async throws {
        let client = ScriptedClient([
            .failure(Self.unreachable(.safe)), .success(Response(status: .serviceUnavailable)),
        ])
        let (response, _) = try await route(
            client, [.init(provider: one, model: "m"), .init(provider: two, model: "m")])
        #expect(response.status == .serviceUnavailable)
    }

    @Test func neverRepeatsWhatAnUpstreamMayHaveDone() async throws {
        let client = ScriptedClient([.failure(Self.unreachable(.unsafe)), .success(Response(status: .ok))])
        await #expect(throws: GatewayError.self) {
            try await route(client, [.init(provider: one, model: "m"), .init(provider: two, model: "m")])
        }
        #expect(client.sent.count == 1)
    }

    @Test func answersOfTheClientsOwnFaultAreNotRetried() async throws {
        let client = ScriptedClient([.success(Response(status: .badRequest))])
        let (response, _) = try await route(
            client, [.init(provider: one, model: "m"), .init(provider: two, model: "m")])
        #expect(response.status == .badRequest && client.sent.count == 1)
    }
}
