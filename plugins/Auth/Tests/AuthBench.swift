import Glibc
import Logging
import NIOHTTP1
import NIOPosix
import Persistence
import Synchronization
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import AuthPlugin

/// A database of its own with the plugin's tables, hand-set clocks, and the plugin's parts over it.
final class AuthBench: Sendable {
    static let secret = Secret("0123456789abcdef0123456789abcdef")

    let fixture: any DatabaseFixture
    let file: any Database
    /// The same database with faults and counted reads in between.
    let database: WatchedDatabase
    let time = ManualClock()
    let keys: HashKeySource
    let store: KeyStore
    let verifier: KeyVerifier
    let middleware: AuthMiddleware

    init(
        _ limits: KeyCacheLimits = KeyCacheLimits(), keys: HashKeySource = AuthBench.hashKeys(),
        on tested: TestedDatabase = .sqlite
    ) async throws {
        fixture = tested.fixture()
        file = try await fixture.open()
        try await Migrator(AuthMigrations.all, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }).migrate(
            file)
        database = WatchedDatabase(file)
        self.keys = keys
        store = KeyStore(database: file, hashKeys: keys, clock: time.clock)
        verifier = KeyVerifier(
            KeyLookup(database: database, hashKeys: keys), limits: limits, clock: time.clock)
        middleware = AuthMiddleware(verifier: verifier, clock: time.clock)
        try await poll()
    }

    deinit {
        let file = file
        Task { await file.close() }
    }

    static func hashKeys(_ id: String = "default", _ secret: Secret = secret, former: [(String, Secret)] = [])
        -> HashKeySource
    {
        HashKeySource(
            currentID: id, places: [(id, .literal(secret))] + former.map { ($0.0, HashKeySource.Place.literal($0.1)) })
    }

    /// A user with one key.
    func user(_ name: String, expires: Timestamp? = nil) async throws -> (user: UserInfo, key: NewKey) {
        let user = try await store.createUser(name)
        return (user, try await store.createKey(KeyRequest(userID: user.id, name: "laptop", expires: expires)))
    }

    /// A key as it is stored, if the user has that one.
    func key(_ keyID: UniqueID, of userID: UniqueID) async throws -> KeyInfo? {
        try await file.read { try KeyStore.key(keyID, of: userID, $0) }
    }

    /// What `run()` does each second.
    func poll() async throws {
        try #require(verifier.tick())
        await verifier.poll()
    }

    /// The principal that a request with these `Authorization` headers ends with.
    func authenticate(_ values: String...) async throws -> Principal? {
        try await authenticate(HTTPHeaders([("Host", "x")] + values.map { ("Authorization", $0) }))
    }

    func authenticate(_ key: Secret) async throws -> Principal? { try await authenticate("Bearer " + key.reveal()) }

    func authenticate(_ headers: HTTPHeaders) async throws -> Principal? {
        let head = RequestHead(method: .POST, target: "/v1/chat/completions", headers: headers)
        let exchange = Exchange(
            head: head, eventLoop: MultiThreadedEventLoopGroup.singleton.any(), clock: time.clock,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let chain = Chain([Chain.Link(id: "auth", middleware: middleware), Chain.Link(id: "end", middleware: Answer())])
        _ = try await chain.run(Request(head: head), in: exchange)
        return exchange[PrincipalKey.self]
    }

    /// The error that such a request is refused with.
    func refusal(_ values: String...) async throws -> GatewayError {
        let headers = HTTPHeaders(values.map { ("Authorization", $0) })
        return try #require(await #expect(throws: GatewayError.self) { _ = try await self.authenticate(headers) })
    }

    func refusal(_ key: Secret) async throws -> GatewayError { try await refusal("Bearer " + key.reveal()) }

    /// The plugin as a world makes it.
    func plugin(_ section: ConfigurationSection, _ inheritance: Inheritance = Inheritance()) throws -> AuthPlugin {
        var resources = Resources()
        resources[DatabaseKey.self] = database
        resources[ClockKey.self] = time.clock
        let setup = PluginSetup(configuration: section, resources: resources, inheritance: inheritance)
        return try #require(try AuthPlugin.factory.make(setup) as? AuthPlugin)
    }
}

/// The end of a chain.
private struct Answer: Middleware {
    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        Response(status: .ok)
    }
}

/// Time that passes only when a test says so.
final class ManualClock: Sendable {
    private let nanoseconds = Mutex<UInt64>(1_000_000_000_000)

    func advance(by duration: Duration) { nanoseconds.withLock { $0 += duration.nanoseconds } }

    var clock: GatewayClock {
        GatewayClock(
            monotonicNanoseconds: { self.nanoseconds.withLock { $0 } },
            wallMicroseconds: { 1_800_000_000_000_000 + Int64(self.nanoseconds.withLock { $0 } / 1_000) })
    }

    var now: Timestamp { Timestamp(microseconds: clock.wallMicroseconds()) }
}

/// A database that counts its reads, fails when told, and can hold a read back.
final class WatchedDatabase: Database {
    private struct State {
        var reads = 0
        var isDown = false
        var readsUntilDown: Int?
        var gate: Gate?
        var readsUntilGate = 0

        mutating func countRead() -> (isDown: Bool, gate: Gate?) {
            reads += 1
            if readsUntilDown == 0 { (isDown, readsUntilDown) = (true, nil) }
            readsUntilDown = readsUntilDown.map { $0 - 1 }
            readsUntilGate -= 1
            return (isDown, readsUntilGate < 0 ? gate : nil)
        }
    }

    private let base: any Database
    private let state = Mutex(State())

    init(_ base: any Database) { self.base = base }

    var reads: Int { state.withLock { $0.reads } }
    var isDown: Bool {
        get { state.withLock { $0.isDown } }
        set { state.withLock { $0.isDown = newValue } }
    }
    /// The first `count` reads from now on succeed, then it is down.
    func goesDown(afterReads count: Int) { state.withLock { $0.readsUntilDown = count } }
    /// Every read, behind the first `count` ones, passes it after it has read, before it returns.
    func hold(at gate: Gate?, afterReads count: Int = 0) {
        state.withLock { ($0.gate, $0.readsUntilGate) = (gate, count) }
    }

    var dialect: Dialect { base.dialect }
    var threads: DatabaseThreads { base.threads }

    func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        let (isDown, gate) = state.withLock { $0.countRead() }
        if isDown { throw DatabaseError(.unavailable, "the test says so") }
        let value = try base.blockingRead(body)
        gate?.pass()
        return value
    }

    func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        if isDown { throw DatabaseError(.unavailable, "the test says so") }
        return try base.blockingWrite(body)
    }

    func close() async { await base.close() }
}

extension ConfigurationSection {
    /// A section `auth` with a hash key, and a grace period if asked for.
    static func hashKey(_ text: String, grace: String? = nil) throws -> ConfigurationSection {
        let location = ConfigurationNode.Location(file: "test.yaml", line: 1)
        var entries = [("hash_key", location, ConfigurationNode(.scalar(text, isQuoted: true), at: location))]
        if let grace {
            entries.append(("grace", location, ConfigurationNode(.scalar(grace, isQuoted: false), at: location)))
        }
        return try ConfigurationSection(
            ConfigurationNode(.section(entries), at: location), path: "auth",
            environment: ConfigurationEnvironment(variable: { _ in nil }, readFile: { _ in nil }))
    }
}
