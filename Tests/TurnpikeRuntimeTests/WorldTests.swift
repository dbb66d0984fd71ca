import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import OpenAIWire
import Persistence
import Synchronization
import Testing
import TurnpikeKit

@testable import TurnpikeRuntime

/// A plugin that writes its name into a header of what passes, or answers.
private struct Marking: Plugin, Middleware {
    let id: String
    let answers: Bool
    var middleware: (any Middleware)? { self }
    var routes: [Route] {
        guard id == "own" else { return [] }
        return [
            Route(.GET, "/v1/own/{name}") { _, parameters, _ in .json(JSONWriter.string(parameters["name"])) },
            Route(.POST, "/v1/admins", access: .scope(.admin)) { _, _, _ in .json(ByteBuffer(string: "{}")) },
        ]
    }

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        if id == "guard" {
            exchange[PrincipalKey.self] = Principal(
                userID: .generate(), userName: "alice", keyID: .generate(), keyName: "k", scopes: .chat)
        }
        var response = answers ? Response.json(ByteBuffer(string: "{}")) : try await next(request)
        response.headers.add(name: "x-passed", value: id)
        return response
    }

    static func factory(_ id: String, _ stage: Stage, answers: Bool = false) -> PluginFactory {
        PluginFactory(id: id, stage: stage) { _ in Marking(id: id, answers: answers) }
    }
}

/// Counts 1, 2, 3 …
private final class Count: Sendable {
    private let value = Mutex(0.0)

    func next() -> Double {
        value.withLock { value in
            value += 1
            return value
        }
    }
}

/// A plugin that does nothing but fail.
private struct Failing: Plugin, Middleware {
    var middleware: (any Middleware)? { self }

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        throw GatewayError.internalError("broken")
    }
}

@Suite struct WrappedErrorTests {
    @Test func whatTheDatabaseCouldNotDoIsToldWithoutItsWords() {
        let error = GatewayError(wrapping: DatabaseError(.unavailable, "disk I/O error in /data"))
        #expect(error.code == "storage_unavailable" && error.status == .serviceUnavailable)
        #expect(!error.message.contains("disk") && error.debugDescription.contains("disk"))
        #expect(error.headers.first(name: "Retry-After") == "1")
    }

    @Test func whatTheDatabaseHoldsAndNobodyCanReadIsNotToBeTriedAgain() {
        let error = GatewayError(wrapping: DatabaseError(.data, "column 3 is not an integer"))
        #expect(error.code == "internal_error" && error.headers.first(name: "Retry-After") == nil)
        #expect(!error.message.contains("column") && error.debugDescription.contains("column 3"))
    }

    @Test func whatNobodyKnowsIsAnInternalError() {
        struct Unknown: Error {}
        #expect(GatewayError(wrapping: Unknown()).code == "internal_error")
        #expect(GatewayError(wrapping: CancellationError()).code == "client_left")
    }
}

@Suite struct WorldTests {
    private static let factories = [
        Marking.factory("watch", .observe), Marking.factory("guard", .authenticate), Marking.factory("find", .resolve),
        Marking.factory("own", .transform), Marking.factory("send", .route, answers: true),
    ]
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    private func world(_ text: String = "", adding more: [PluginFactory] = []) throws -> World {
        try WorldBuilder(
            factories: Self.factories + more, resources: Resources(),
            ownRoutes: HealthRoutes.all(Readiness(waitingFor: ["database"]), givesReasons: true)
        )
        .build(configuration(text))
    }

    private func answer(
        _ method: HTTPMethod, _ target: String, body: String = "{\"model\":\"m\"}", _ text: String = "",
        adding more: [PluginFactory] = []
    ) async throws -> Response {
        let gateway = Gateway(world: try world(text, adding: more), clock: .system, logger: Logger(label: "t"))
        let head = RequestHead(method: method, target: target)
        let exchange = gateway.begin(head, peerAddress: "", on: loop)
        return await gateway.respond(to: Request(head: head, body: RequestBody(ByteBuffer(string: body))), in: exchange)
    }

    @Test func insertsWhatTheChainLeavesOutAtItsStage() async throws {
        let response = try await answer(.POST, "/v1/chat/completions", "chain: [guard, own]")
        #expect(response.headers["x-passed"] == ["send", "own", "find", "guard", "watch"])
    }

    @Test(arguments: [
        ("chain: [wach]", "nobody provides “wach”; did you mean “watch”?"),
        ("chain: [own, guard]", "“guard” belongs to stage authenticate, which comes before “own” (transform)"),
        ("chain: [own, own]", "“own” appears twice"),
        ("flags: { guard: false }", "this plugin cannot be switched by a flag"),
        ("flags: { onw: false }", "there is no plugin of this name; did you mean “own”?"),
        ("plugins: { own: { depth: 3 } }", "t.yaml:3: plugins.own.depth: unknown key"),
        ("sever: { port: 1 }", "t.yaml:3: sever: unknown key; did you mean “server”?"),
        ("server: { prot: 1 }", "t.yaml:3: server.prot: unknown key; did you mean “port”?"),
    ])
    func refusesAConfigurationThatCannotBeMeant(text: String, expected: String) throws {
        #expect { _ = try world(text) } throws: { "\($0)".contains(expected) }
    }

    @Test func whatCannotBeUsedLeavesTheMetricsOfTheRunningWorldAlone() throws {
        let metrics = MetricRegistry()
        let built = Count()
        var resources = Resources()
        resources[MetricRegistryKey.self] = metrics
        let numbered = PluginFactory(id: "numbered", stage: .observe) { setup in
            let number = built.next()
            setup.metrics.register("turnpike_world", .gauge, "Which world this is.") { number }
            return Marking(id: "numbered", answers: false)
        }
        let builder = WorldBuilder(factories: [numbered], resources: resources, ownRoutes: [])
        let first = try builder.build(configuration(""))
        #expect(metrics.text().contains("turnpike_world 1\n"))
        for text in ["flags: { nobody: true }", "sever: { port: 1 }"] {
            #expect(throws: (any Error).self) { try builder.build(configuration(text), replacing: first) }
        }
        #expect(metrics.text().contains("turnpike_world 1\n"))
        _ = try builder.build(configuration(""), replacing: first)
        #expect(metrics.text().contains("turnpike_world 4\n"))
    }

    @Test func aPluginMayRegisterANumberAfterItsWorldWasBuilt() throws {
        let metrics = MetricRegistry()
        let draft = metrics.draft()
        draft.publish()
        draft.register("turnpike_late", .gauge, "Comes late.") { 7 }
        #expect(metrics.text().contains("turnpike_late 7\n"))
    }

    @Test func skipsAPluginWhoseFlagIsOff() async throws {
        let response = try await answer(.POST, "/v1/chat/completions", "flags: { own: { deny: { users: [alice] } } }")
        #expect(response.headers["x-passed"] == ["send", "find", "guard", "watch"])
    }

    @Test(arguments: [(Stage.transform, HTTPResponseStatus.ok), (.limit, .internalServerError)])
    func passesOverAFailingPluginThatIsDeclaredOpenAndMayBe(stage: Stage, status: HTTPResponseStatus) async throws {
        let broken = PluginFactory(id: "broken", stage: stage, onFailure: .open) { _ in Failing() }
        let response = try await answer(.POST, "/v1/chat/completions", adding: [broken])
        #expect(response.status == status)
    }

    @Test func answersItsOwnRoutesBehindAuthentication() async throws {
        let response = try await answer(.GET, "/v1/own/a%20b/")
        #expect(response.headers["x-passed"] == ["guard", "watch"])
        guard case .bytes(let body) = response.body else { throw GatewayError.internalError("no bytes") }
        #expect(String(buffer: body) == "\"a b\"")
    }

    @Test func refusesARouteWhoseScopeTheKeyLacks() async throws {
        let refused = try await answer(.POST, "/v1/admins")
        #expect(refused.status == .forbidden && refused.error?.code == "insufficient_scope")
    }

    @Test func tellsTheMethodsOfItsOwnPaths() async throws {
        let response = try await answer(.PUT, "/v1/own/x")
        #expect(response.status == .methodNotAllowed)
        #expect(response.headers["Allow"] == ["GET"])
    }

    @Test(arguments: [("{", 400), ("[]", 400), ("{\"messages\":[]}", 400), ("{\"model\":7}", 400)])
    func refusesAChatRequestThatCannotBeRouted(body: String, status: Int) async throws {
        let response = try await answer(.POST, "/v1/chat/completions", body: body)
        #expect(Int(response.status.code) == status)
        #expect(response.error?.source == .client)
    }

    @Test func givesEveryErrorTheEnvelopeAndTheRequestID() async throws {
        let refused = try await answer(.GET, "/elsewhere")
        let id = try #require(refused.headers.first(name: "x-turnpike-request-id"))
        #expect(id.hasPrefix("req_"))
        guard case .bytes(let body) = refused.body else { throw GatewayError.internalError("no bytes") }
        let error = try #require(try JSONObject(scanning: body)["error"]?.object())
        #expect(error["code"]?.string == "unknown_url")
        #expect(error["request_id"]?.string == id)
    }

    @Test func answersHealthChecksWithoutTheChain() async throws {
        let alive = try await answer(.GET, "/healthz")
        #expect(alive.status == .ok && alive.headers["x-passed"].isEmpty)
        #expect(try await answer(.GET, "/readyz").status == .serviceUnavailable)
    }
}
