import Conversations
import Glibc
import Journal
import Logging
import NIOCore
import NIOPosix
import Persistence
import PersistenceMariaDB
import PersistenceSQLite
import Server
import ServiceLifecycle
import Synchronization
import Tokens
import TurnpikeKit
import TurnpikeRuntime
import UnixSignals
import Upstream

/// Makes a running Turnpike from a configuration: every concrete type is named here.
struct Composition {
    private let configuration: GatewayConfiguration
    private let logger: Logger
    private let group: MultiThreadedEventLoopGroup
    private let database: any Database
    private let upstream: SelectingUpstreamClient
    private let store: ConversationStore
    private let builder: WorldBuilder
    private let budget: BufferBudget
    private let readiness = Readiness(waitingFor: [MigrationService.part])
    private let metrics = MetricRegistry()
    private let requests = RequestMetrics()

    /// Opens the spool, and nothing else.
    ///
    /// - Parameter remedy: What is to be done where another process has the spool.
    init(_ configuration: GatewayConfiguration, remedy: SpoolRemedy = .ofServe) throws {
        ProcessLog.apply(configuration.log)
        signal(SIGPIPE, SIG_IGN)
        let threads = configuration.server.threads
        self.configuration = configuration
        logger = Logger(label: "turnpike")
        group = MultiThreadedEventLoopGroup(numberOfThreads: threads == 0 ? System.coreCount : threads)
        database = Self.database(configuration.database, patience: configuration.patience, logger: logger)
        budget = BufferBudget(limit: configuration.server.maxBuffered)
        upstream = try SelectingUpstreamClient(eventLoops: group.makeIterator(), logger: logger)
        store = try Self.store(database, configuration, remedy: remedy, logger: logger)
        // Where operators have a listener of their own, they read there why something is missing.
        let ownRoutes = HealthRoutes.all(readiness, givesReasons: configuration.server.admin == nil)
        builder = Self.builder(
            database, store, upstream: upstream, ownRoutes: ownRoutes, metrics: metrics, logger: logger)
        requests.register(in: metrics)
        ProcessMetrics.register(in: metrics)
        Self.register(readiness, in: metrics)
        Self.register(database, in: metrics)
    }

    /// Throws what is wrong with a configuration. Opens nothing and writes nothing.
    static func check(_ configuration: GatewayConfiguration) throws { _ = try unopenedWorld(configuration) }

    /// The tables of everything that a configuration uses. Opens nothing and writes nothing.
    static func migrations(_ configuration: GatewayConfiguration) throws -> [Migration] {
        try unopenedWorld(configuration).plugins.flatMap(\.plugin.migrations)
    }

    private static func unopenedWorld(_ configuration: GatewayConfiguration) throws -> World {
        let logger = Logger(label: "turnpike") { _ in SwiftLogNoOpLogHandler() }
        return try builder(
            UnopenedDatabase(), ConversationStore(database: UnopenedDatabase()), upstream: UnconnectedUpstream(),
            ownRoutes: HealthRoutes.all(Readiness(waitingFor: []), givesReasons: true), metrics: MetricRegistry(),
            logger: logger
        ).build(configuration)
    }

    /// The conversations of a database, with the spool before them. Reads what the spool holds.
    static func store(
        _ database: any Database, _ configuration: GatewayConfiguration, remedy: SpoolRemedy, logger: Logger
    ) throws -> ConversationStore {
        let durability = try configuration.spool.settings.map { try openSpool($0, remedy, logger) }
        return ConversationStore(
            database: database, durability: durability, cacheLimit: configuration.sessionCache.maxSize,
            soleUse: SoleUse(configuration.sessionCache.sharing.wish, database))
    }

    private static func openSpool(
        _ settings: SpoolSettings, _ remedy: SpoolRemedy, _ logger: Logger
    ) throws -> Durability {
        do {
            return try Durability(settings, logger: logger)
        } catch let error as JournalError where error.failure == .owned {
            throw CommandFailure("spool.directory: \(error): \(remedy.rawValue)")
        } catch {
            throw CommandFailure("spool.directory: \(error)")
        }
    }

    /// The database of an address. It is opened when it is first used, and whoever uses it learns whether it can be.
    ///
    /// - Parameter patience: How long it may keep somebody waiting for nothing.
    static func database(
        _ address: DatabaseAddress, patience: Duration = .seconds(10), logger: Logger
    ) -> any Database {
        switch address {
        case .sqlite(let path):
            var settings = SQLiteDatabase.Configuration()
            settings.patience = patience
            return SQLiteDatabase(openingOnUse: path, configuration: settings, logger: logger)
        case .mariadb(let address): return MariaDBDatabase(address, logger: logger, patience: patience)
        }
    }

    /// Serves until a signal asks to stop.
    ///
    /// `onListening` is told the address once clients can connect. `file` is read again when it changes, or on SIGHUP;
    /// a demo has none.
    func run(reloading file: String? = nil, onListening: @escaping @Sendable (String) -> Void) async throws {
        let server = configuration.server
        try ListeningPort.check(server.host, server.port, "server.port", host: "server.host")
        if let admin = server.admin { try ListeningPort.check(admin.host, admin.port, "server.admin") }
        let gateway = try makeGateway()
        let watch = ConfigurationWatch(file)
        let keeper = WorldKeeper(gateway, changes: watch.changes, logger: logger) { [builder] former in
            try builder.build(GatewayConfiguration.read(file ?? ""), replacing: former)
        }
        let soleUse = SoleUseService(store, readiness: readiness, logger: logger)
        let migrations = MigrationService(
            database, migrations: gateway.world.plugins.flatMap(\.plugin.migrations), readiness: readiness,
            logger: logger, arrival: { try await soleUse.arrive() })
        // They end from the last to the first: whoever replays the spool still says that it uses the database.
        let services: [any Service] = [
            DatabaseService(database, logger: logger), soleUse,
            SpoolService(store, readiness: readiness, logger: logger, arrival: { await soleUse.arrived() }),
            upstream, keeper, migrations, watch,
        ]
        let group = ServiceGroup(
            configuration: .init(
                services: services + servers(gateway, onListening: onListening),
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
        try await self.group.shutdownGracefully()
    }

    /// Nothing but the gateway keeps the first world, so that it can go when it is replaced.
    private func makeGateway() throws -> Gateway {
        Gateway(
            world: try builder.build(configuration), clock: .system, logger: logger, budget: budget, metrics: requests,
            onFailure: { [store] in store.noteRefusal($0, of: $1) },
            onTurnedAway: { [store] in store.noteRefusal($0, of: $1) })
    }

    private func servers(_ gateway: Gateway, onListening: @escaping @Sendable (String) -> Void) -> [HTTPServer] {
        let settings = configuration.server
        var servers = [
            HTTPServer(
                configuration: ServerConfiguration(settings), handler: gateway, group: group, budget: budget,
                logger: logger,
                onListening: { address in onListening(Self.text(address, isSecure: settings.tls != nil)) })
        ]
        if let admin = settings.admin {
            var configuration = ServerConfiguration(settings)
            configuration.address = .host(admin.host, port: admin.port)
            configuration.tls = nil
            let routes = HealthRoutes.all(readiness, givesReasons: true) + [MetricsRoute.make(metrics)]
            servers.append(
                HTTPServer(
                    configuration: configuration, handler: AdministrationHandler(gateway, routes: routes), group: group,
                    budget: budget, logger: logger))
        }
        Self.register(servers, budget, in: metrics)
        return servers
    }

    private static func builder(
        _ database: any Database, _ store: ConversationStore, upstream: any UpstreamClient, ownRoutes: [Route],
        metrics: MetricRegistry, logger: Logger
    ) -> WorldBuilder {
        var resources = Resources()
        resources[DatabaseKey.self] = database
        resources[ClockKey.self] = .system
        resources[UpstreamClientKey.self] = upstream
        resources[ConversationStoreKey.self] = store
        let counters = TokenCounters(.shipped)
        resources[TokenCountersKey.self] = counters
        resources[TargetModelsKey.self] = CountedModels(calibration: counters.calibration)
        resources[MetricRegistryKey.self] = metrics
        register(store, in: metrics)
        registerSpool(of: store, in: metrics)
        return WorldBuilder(
            factories: BuiltInPlugins.factories, resources: resources, ownRoutes: ownRoutes)
    }

    private static func text(_ address: SocketAddress, isSecure: Bool) -> String {
        let endpoint = ServerSettings.Endpoint(host: address.ipAddress ?? "localhost", port: address.port ?? 0)
        return "\(isSecure ? "https" : "http")://\(endpoint)"
    }
}

extension GatewayConfiguration {
    /// As long as a commit may take. What reads may need a moment although all is well, and then nobody else may have been
    /// answered meanwhile: but for the look that is taken each second.
    fileprivate var patience: Duration { max(.seconds(2), spool.settings?.commitDeadline ?? .zero) }
}

extension ServerConfiguration {
    init(_ settings: ServerSettings) {
        self.init(address: .host(settings.host, port: settings.port))
        limits.headBytes = settings.maxHead
        limits.bodyBytes = settings.maxBody
        limits.connections = settings.maxConnections
        timeouts.head = TimeAmount(settings.headTimeout)
        timeouts.body = TimeAmount(settings.bodyTimeout)
        timeouts.keepAlive = TimeAmount(settings.idleTimeout)
        timeouts.write = TimeAmount(settings.writeTimeout)
        timeouts.drain = TimeAmount(settings.drainTimeout)
        cors = settings.allowedOrigins.isEmpty ? nil : CORSPolicy(allowedOrigins: settings.allowedOrigins)
        tls = settings.tls.map { TLSFiles(certificate: $0.certificate, key: $0.key) }
    }
}

/// What whoever finds the spool in use is told to do.
enum SpoolRemedy: String {
    case ofServe = "give each process its own (spool.directory)"
    case ofReplay = "it stores them by itself"
    case ofDemo = "end it, or choose another folder (--data)"
}

extension SessionCacheSettings.Sharing {
    fileprivate var wish: SoleUse.Wish {
        switch self {
        case .auto: .whileAlone
        case .yes: .never
        case .no: .always
        }
    }
}
