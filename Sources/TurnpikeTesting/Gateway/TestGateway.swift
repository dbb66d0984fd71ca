import Glibc
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
public import Persistence
import Server
import ServiceLifecycle
import Synchronization
public import TurnpikeKit
import TurnpikeRuntime

/// A gateway around the plugins under test.
///
/// Configuration, order of the chain, flags, own routes, error answers, finishers and, where it is live, the server are
/// those of the program. What stands in for the rest: a request's bearer token is the name of its user, every model is
/// at one provider, and the answers are those of ``TestUpstream``.
///
/// ```swift
/// let gateway = try TestGateway([MyPlugin.factory], configuration: "plugins: { mine: { depth: 3 } }")
/// try await gateway.run(.inProcess) { client in
///     let answer = try await client.send(.chat(#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#))
///     #expect(answer.status == 200)
/// }
/// ```
public final class TestGateway: Sendable {
    /// How requests reach the gateway.
    public enum Way: Sendable, CaseIterable {
        /// Each is handed to the chain, and its answer goes through the transformers. The quickest.
        case inProcess
        /// Each is sent over a connection of its own, by HTTP/1.1 on a unix socket.
        case live
    }

    /// What answers, and what it was sent.
    public let upstream: TestUpstream
    private let outcomes = OutcomeLog()
    private let gateway: Gateway
    private let world: World
    private let database: (any Database)?
    private let budget = BufferBudget(limit: 64 << 20)

    /// Builds the chain; nothing runs yet.
    ///
    /// Throws what is wrong with the configuration, unknown keys included.
    ///
    /// - Parameters:
    ///   - plugins: To be tested, in any order: each has its stage.
    ///   - configuration: YAML as in the program's file, without `database` and `providers`.
    ///   - database: What plugins get as `setup[DatabaseKey.self]`; their migrations are applied to it. A plugin that
    ///     asks for it when there is none traps.
    public init(
        _ plugins: [PluginFactory], configuration: String = "", upstream: TestUpstream = TestUpstream(),
        database: (any Database)? = nil
    ) throws {
        self.upstream = upstream
        self.database = database
        var resources = Resources()
        resources[ClockKey.self] = .system
        resources[MetricRegistryKey.self] = MetricRegistry()
        if let database { resources[DatabaseKey.self] = database }
        let standIns = [outcomes.factory, TestAuthentication.factory, TestModels.factory, upstream.factory]
        world = try WorldBuilder(
            factories: standIns + plugins, resources: resources,
            ownRoutes: HealthRoutes.all(Readiness(waitingFor: []), givesReasons: true)
        ).build(
            GatewayConfiguration(
                text: "database: \"sqlite:unused\"\nproviders: { test: { base_url: \"http://test/v1\" } }\n"
                    + configuration,
                file: "test.yaml", environment: ConfigurationEnvironment(variable: { _ in nil }, readFile: { _ in nil })
            )
        )
        gateway = Gateway(
            world: world, clock: .system, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            budget: budget)
    }

    /// Runs the plugins, and the server if it is to be live, for the length of `body`, and shuts them down in order.
    ///
    /// A gateway runs once. Throws what `body` throws, and what a plugin's `run()` or a migration does.
    public func run(_ way: Way, _ body: (any TestClient) async throws -> Void) async throws {
        if let database {
            let migrations = world.plugins.flatMap(\.plugin.migrations)
            _ = try await Migrator(migrations, logger: Logger(label: "test")).migrate(database)
        }
        switch way {
        case .inProcess:
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            try await run([]) {
                try await body(InProcessClient(gateway: gateway, executor: TestLoopExecutor(loop), budget: budget))
            }
        case .live: try await runLive(body)
        }
    }

    /// How the exchanges ended, in that order, once there are `count` of them.
    public func outcomes(_ count: Int) async -> [Outcome] { await outcomes.first(count) }

    private func runLive(_ body: (any TestClient) async throws -> Void) async throws {
        let path = Self.socketPath()
        defer { unlink(path) }
        let (listening, listens) = AsyncStream.makeStream(of: Void.self)
        let server = HTTPServer(
            configuration: ServerConfiguration(address: .unixSocket(path)), handler: gateway,
            group: MultiThreadedEventLoopGroup.singleton, budget: budget,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, onListening: { _ in listens.yield() })
        try await run([server], onEnd: { listens.finish() }) {
            // The stream ends without a value when a plugin fails first; what it threw is thrown then.
            for await _ in listening { return try await body(LiveClient(socket: path)) }
        }
    }

    /// The server comes last, so it is the first to be shut down: plugins outlive the exchanges.
    private func run(
        _ servers: [any Service], onEnd: @escaping @Sendable () -> Void = {}, _ body: () async throws -> Void
    ) async throws {
        let services = ServiceGroup(
            configuration: .init(services: world.plugins.map(\.plugin) + servers, logger: Logger(label: "test")))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { onEnd() }
                try await services.run()
            }
            try await body()
            await services.triggerGracefulShutdown()
            try await group.waitForAll()
        }
    }

    private static let sockets = Atomic<Int>(0)

    private static func socketPath() -> String {
        "\(TemporaryDirectory.root)/turnpike-gateway-\(getpid())-\(sockets.wrappingAdd(1, ordering: .relaxed).newValue).sock"
    }
}

/// Runs tasks on one event loop, as the server does.
final class TestLoopExecutor: TaskExecutor {
    let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
