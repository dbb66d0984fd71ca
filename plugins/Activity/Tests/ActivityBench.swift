import Logging
import NIOHTTP1
import NIOPosix
import OpenAIWire
import Persistence
import Synchronization
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import ActivityPlugin

/// A database of its own with the plugin's table, hand-set clocks, and the plugin over it.
final class ActivityBench: Sendable {
    static let start: Int64 = 1_800_000_000_000_000

    private let fixture: any DatabaseFixture
    let database: any Database
    let time = ManualClock()
    let plugin: ActivityPlugin
    let log: ActivityLog
    let alice = Principal(
        userID: .generate(), userName: "alice", keyID: .generate(), keyName: "laptop", scopes: .chat)
    let bob = Principal(userID: .generate(), userName: "bob", keyID: .generate(), keyName: "ci", scopes: .chat)

    init(on tested: TestedDatabase = .sqlite) async throws {
        fixture = tested.fixture()
        database = try await fixture.open()
        try await Migrator(ActivityMigrations.all, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            .migrate(database)
        plugin = ActivityPlugin(database: database, clock: time.clock)
        log = ActivityLog(database: database)
    }

    deinit {
        let database = database
        Task { await database.close() }
    }

    func exchange(
        _ target: String = "/v1/chat/completions", method: HTTPMethod = .POST, as principal: Principal? = nil,
        flags: any FlagEvaluator = NoFlags()
    ) -> Exchange {
        let exchange = Exchange(
            head: RequestHead(method: method, target: target, headers: ["Authorization": "Bearer tp-secret"]),
            eventLoop: MultiThreadedEventLoopGroup.singleton.any(), clock: time.clock,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, flags: flags)
        exchange[PrincipalKey.self] = principal
        return exchange
    }

    /// Runs an exchange through the middleware and ends it.
    func run(_ exchange: Exchange, _ outcome: Outcome = Outcome(ending: .completed, status: 200)) async throws {
        let middleware = try #require(plugin.middleware)
        let chain = Chain([
            Chain.Link(id: "activity", middleware: middleware), Chain.Link(id: "end", middleware: Answer()),
        ])
        _ = try? await chain.run(Request(head: exchange.head), in: exchange)
        exchange.finish(outcome)
    }

    /// An exchange of `principal` with a model, `tokens` of each kind, a millisecond after the one before.
    func chat(as principal: Principal, model: String = "gpt", tokens: Int = 1) async throws {
        let exchange = exchange(as: principal)
        exchange.note { facts in
            (facts.provider, facts.model) = ("openai", model)
            facts.usage = Usage(prompt: tokens, completion: tokens)
        }
        try await run(exchange)
        time.advance(by: 1_000)
    }

    /// What an own endpoint answers, as JSON text.
    func get(_ target: String, as principal: Principal?) async throws -> JSONObject {
        let exchange = exchange(target, method: .GET, as: principal)
        let path = exchange.head.path
        let route = try #require(plugin.routes.first { $0.path == path })
        var response = try await route.answer(Request(head: exchange.head), RouteParameters([:]), exchange)
        return try JSONObject(scanning: try await response.collect(upTo: 1 << 20))
    }

    func rows(of principal: Principal) async throws -> [ActivityRow] {
        try await log.entries(of: principal.userID, before: nil, limit: 1_000).rows
    }
}

private struct Answer: Middleware {
    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        Response(status: .ok)
    }
}

/// Time that passes only when a test says so.
final class ManualClock: Sendable {
    private let microseconds = Mutex<Int64>(ActivityBench.start)

    func advance(by amount: Int64) { microseconds.withLock { $0 += amount } }

    var clock: GatewayClock {
        GatewayClock(
            monotonicNanoseconds: { UInt64(self.microseconds.withLock { $0 }) * 1_000 },
            wallMicroseconds: { self.microseconds.withLock { $0 } })
    }
}
