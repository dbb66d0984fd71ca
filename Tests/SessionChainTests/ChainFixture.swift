import CapturePlugin
import Conversations
import HistoryPlugin
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Persistence
import SessionPlugin
import TurnpikeKit
import TurnpikeTesting

/// The chain of sessions over a real SQLite store, with an upstream that does as it is told.
final class ChainFixture: Sendable {
    let files: SQLiteFixture
    let database: FaultyDatabase
    let store: ConversationStore
    let upstream = ScriptedUpstream()
    let alice: Principal
    let bob = Principal(name: "bob")
    private let plugins: [any Plugin]
    private let chain: Chain
    private let flags: any FlagEvaluator
    let budget: BufferBudget

    /// - Parameters:
    ///   - settings: of the plugins, by plugin and key.
    ///   - off: flags that are off.
    ///   - asksForUsage: what the provider says of itself.
    ///   - targets: the models that a request may go to, see `ByteModels`.
    ///   - reasoning: what of it the provider gets back.
    ///   - buffered: how many bytes all exchanges may hold together.
    ///   - bodyLimit: how many bytes one body may have.
    ///   - files: of a database that another chain may be using.
    init(
        _ settings: [String: [(String, String)]] = [:], off: Set<String> = [], asksForUsage: Bool = false,
        buffered: Int = 64 << 20, bodyLimit: Int = 32 << 20, targets: [String] = ["m"],
        reasoning: ReasoningReplay = .keep,
        on files: SQLiteFixture = SQLiteFixture(), alice: Principal = Principal(name: "alice")
    ) async throws {
        (self.files, self.alice) = (files, alice)
        budget = BufferBudget(limit: buffered)
        database = FaultyDatabase(try await files.open())
        _ = try await Migrator(ConversationStore.migrations, logger: Logger(label: "test")).migrate(database)
        store = ConversationStore(database: database)
        var resources = Resources()
        resources[ConversationStoreKey.self] = store
        resources[TargetModelsKey.self] = ByteModels()
        resources[BodyLimitKey.self] = bodyLimit
        let made = try [SessionPlugin.factory, CapturePlugin.factory, HistoryPlugin.factory].map { factory in
            let section = try ConfigurationSection(settings[factory.id] ?? [])
            return (factory.id, try factory.make(PluginSetup(configuration: section, resources: resources)))
        }
        plugins = made.map(\.1)
        var links = made.compactMap { id, plugin in
            plugin.middleware.map { Chain.Link(id: id, middleware: $0, flag: id) }
        }
        links.insert(
            Chain.Link(
                id: "models",
                middleware: FixedPlan(asksForUsage: asksForUsage, targets: targets, reasoning: reasoning)), at: 1)
        links.append(Chain.Link(id: "router", middleware: upstream))
        chain = Chain(links)
        flags = FlagsOff(names: off)
    }

    /// Another process on the same database, or this one after a restart.
    func restarted() async throws -> ChainFixture { try await ChainFixture(on: files, alice: alice) }

    deinit {
        let database = database
        Task { await database.close() }
    }

    /// Sends a request through the chain and receives its answer as a client does.
    func send(_ call: Call) async throws -> Answer {
        let exchange = exchange(call)
        let request = Request(head: exchange.head, body: body(call.body))
        exchange[EndpointKey.self] = call.endpoint
        defer { exchange.finish(Outcome(ending: .completed, status: 200)) }
        do {
            return try await Answer(chain.run(request, in: exchange), in: exchange, call)
        } catch {
            // As the gateway does.
            let failure = error as? GatewayError ?? .unavailable("storage_unavailable", "as it is told to clients")
            store.noteRefusal(failure, of: exchange)
            throw error
        }
    }

    /// The error that a request is refused with.
    func refusal(_ call: Call) async throws -> GatewayError? {
        do {
            _ = try await send(call)
            return nil
        } catch let error as GatewayError {
            return error
        }
    }

    /// Whatever a request fails with, an outage of the database included.
    func failure(of call: Call) async -> (any Error)? {
        do {
            _ = try await send(call)
            return nil
        } catch {
            return error
        }
    }

    /// Calls one of the plugins' own routes.
    func route(_ method: HTTPMethod, _ target: String, body: String = "", as user: Principal? = nil) async throws
        -> (status: Int, body: String)
    {
        let call = Call(body, target: target, method: method, user: user)
        let exchange = exchange(call)
        for route in plugins.flatMap(\.routes) where route.method == method {
            guard let parameters = route.match(exchange.head.path) else { continue }
            let request = Request(head: exchange.head, body: self.body(body))
            defer { exchange.finish(Outcome(ending: .completed, status: 200)) }
            var response = try await route.answer(request, parameters, exchange)
            return (Int(response.status.code), String(buffer: try await response.collect(upTo: 64 << 20)))
        }
        throw GatewayError(.client, .notFound, code: "no_route", target)
    }

    private func body(_ text: String) -> RequestBody {
        RequestBody(source: TextSource(text), declaredLength: text.utf8.count, budget: budget)
    }

    private func exchange(_ call: Call) -> Exchange {
        let exchange = Exchange(
            head: RequestHead(method: call.method, target: call.target, headers: call.framed),
            eventLoop: MultiThreadedEventLoopGroup.singleton.any(), logger: Logger(label: "test"), flags: flags,
            budget: budget)
        exchange[PrincipalKey.self] = call.user ?? alice
        return exchange
    }
}

/// A body that arrives at once.
private final class TextSource: BodySource {
    private let text: ByteBuffer

    init(_ text: String) { self.text = ByteBuffer(string: text) }

    func start(_ sink: any BodySink) {
        if text.readableBytes > 0 { sink.receive(text) }
        sink.end(.complete)
    }
    func setPaused(_ isPaused: Bool) {}
    func cancel() {}
}

/// A request of a client.
struct Call: Sendable {
    var body: String
    var target = "/v1/chat/completions"
    var method = HTTPMethod.POST
    var headers: HTTPHeaders = ["Accept-Encoding": "gzip"]
    var user: Principal?
    var endpoint = Endpoint.chatCompletions
    /// How the answer's bytes are cut, and where they break off.
    var pieces = Pieces.whole
    var end = AnswerEnd.complete

    init(_ body: String, target: String = "/v1/chat/completions", method: HTTPMethod = .POST, user: Principal? = nil) {
        self.body = body
        self.target = target
        self.method = method
        self.user = user
    }

    /// A chat request with a session, its messages and further members as JSON.
    static func chat(_ session: String?, _ messages: [String], _ more: String = "", user: Principal? = nil) -> Call {
        let id = session.map { #""session_id":"\#($0)","# } ?? ""
        return Call(
            #"{\#(id)"model":"m","messages":[\#(messages.joined(separator: ","))]\#(more.isEmpty ? "" : ",\(more)")}"#,
            user: user)
    }

    /// The headers as they arrive, with the body's length.
    var framed: HTTPHeaders {
        var framed = headers
        framed.add(name: "Content-Length", value: "\(body.utf8.count)")
        return framed
    }

    func with(_ name: String, _ value: String?) -> Call {
        var call = self
        if let value { call.headers.add(name: name, value: value) }
        return call
    }
}

enum Pieces: Sendable, CaseIterable { case whole, byEvent, byByte }

/// What became of an answer on its way.
enum AnswerEnd: Sendable {
    case complete
    /// The upstream broke off after so many bytes.
    case failed(after: Int)
    /// The client left after so many bytes.
    case clientLeft(after: Int)
}

extension Principal {
    init(name: String) {
        self.init(userID: .generate(), userName: name, keyID: .generate(), keyName: "key", scopes: .chat)
    }
}

extension ConfigurationSection {
    convenience init(_ entries: [(String, String)]) throws {
        let place = ConfigurationNode.Location(file: "test", line: 1)
        let section = ConfigurationNode.Content.section(
            entries.map { ($0.0, place, ConfigurationNode(.scalar($0.1, isQuoted: false), at: place)) })
        try self.init(
            ConfigurationNode(section, at: place), path: "plugins",
            environment: ConfigurationEnvironment(variable: { _ in nil }, readFile: { _ in nil }))
    }
}

private struct FlagsOff: FlagEvaluator {
    let names: Set<String>
    func isOn(_ name: String, in exchange: Exchange) -> Bool { !names.contains(name) }
    func inEffect(for exchange: Exchange) -> [String] { [] }
}

/// Stands in for `models`.
private struct FixedPlan: Middleware {
    let asksForUsage: Bool
    let targets: [String]
    let reasoning: ReasoningReplay

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        let provider = Provider(
            name: "p", baseURL: "http://upstream", asksForUsage: asksForUsage, reasoning: reasoning)
        exchange[RoutePlanKey.self] = RoutePlan(
            requestedModel: "m", targets: targets.map { RouteTarget(provider: provider, model: $0) })
        return try await next(request)
    }
}

extension Route {
    /// The parameters, if the route is for `path`.
    func match(_ path: Substring) -> RouteParameters? {
        let wanted = self.path.split(separator: "/")
        let found = path.split(separator: "/")
        guard wanted.count == found.count else { return nil }
        var values: [String: String] = [:]
        for (want, have) in zip(wanted, found) {
            if want.hasPrefix("{") {
                values[String(want.dropFirst().dropLast())] = String(have)
            } else if want != have {
                return nil
            }
        }
        return RouteParameters(values)
    }
}
