import Glibc
import Logging
import NIOHTTP1
import Persistence
import ServiceLifecycleTestKit
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import AuthPlugin

@Suite struct HashKeyTests {
    private static let other = Secret("ffffffffffffffffffffffffffffffff")

    @Test func acceptsKeysOfAFormerHashKeyAndStoresThemAnew() async throws {
        let bench = try await AuthBench()
        let (user, key) = try await bench.user("alice")
        let rotated = AuthBench.hashKeys("new", Self.other, former: [("default", AuthBench.secret)])
        let lookup = KeyLookup(database: bench.file, hashKeys: rotated)
        let presented = try PresentedKey(["Authorization": "Bearer \(key.secret.reveal())"])

        guard case .verified(let found) = try await lookup.verdict(on: presented) else {
            Issue.record("the key of the former hash key was not accepted")
            return
        }

        #expect(found.principal.keyID == key.info.id)
        #expect(try await bench.key(key.info.id, of: user.id)?.hashKeyID == "new")
        let alone = KeyLookup(database: bench.file, hashKeys: AuthBench.hashKeys("new", Self.other))
        guard case .verified = try await alone.verdict(on: presented) else {
            Issue.record("the key was not stored anew")
            return
        }
    }

    @Test func refusesKeysOfAHashKeyThatIsConfiguredNoMore() async throws {
        let bench = try await AuthBench()
        let (_, key) = try await bench.user("alice")
        let lookup = KeyLookup(database: bench.file, hashKeys: AuthBench.hashKeys("new", Self.other))
        let presented = try PresentedKey(["Authorization": "Bearer \(key.secret.reveal())"])
        guard case .unknown = try await lookup.verdict(on: presented) else {
            Issue.record("a key was accepted without its hash key")
            return
        }
    }

    @Test func makesAMissingFileOnceAndReadableByItsOwnerOnly() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/data/hash.key"
        let source = HashKeySource(currentID: "default", places: [("default", .file(path))])
        #expect(try HashKeyFile(path: path).read() == nil, "reading the configuration makes nothing")
        #expect(throws: HashKeyError.self) { try source.load() }
        #expect(try source.loadUnlessMissing() == nil)
        #expect(try HashKeyFile(path: path).read() == nil, "nor does looking for it")
        _ = try source.create()
        let made = try #require(try HashKeyFile(path: path).read())
        #expect(made.reveal().utf8.count == 44)
        #expect(try HashKeyFile(path: path).create() == made, "the one that is there wins")
        var information = stat()
        #expect(stat(path, &information) == 0)
        #expect(information.st_mode & 0o777 == 0o600)
        #expect(information.st_nlink == 1)
    }

    @Test func neverMakesAFileForAFormerHashKey() throws {
        let directory = TemporaryDirectory()
        let source = HashKeySource(
            currentID: "new", places: [("new", .literal(Self.other)), ("old", .file(directory.path + "/hash.key"))])
        #expect(throws: HashKeyError.self) { try source.load() }
        #expect(throws: HashKeyError.self) { try source.create() }
        #expect(throws: HashKeyError.self) { try source.loadUnlessMissing() }
    }

    @Test func makesAFileOnlyWhereNoLiveKeyIsStoredUnderIt() async throws {
        let (bench, directory) = (try await AuthBench(), TemporaryDirectory())
        let path = directory.path + "/hash.key"
        let (user, key) = try await bench.user("alice")
        let source = HashKeySource(currentID: "default", places: [("default", .file(path))])
        let store = KeyStore(database: bench.file, hashKeys: source, clock: bench.time.clock)

        let error = await #expect(throws: HashKeyError.self) { try await store.loadHashKeys() }
        #expect(error?.description.contains("put it back, since 1 key is stored under it") == true)
        #expect(error?.path == path)
        await #expect(throws: HashKeyError.self) {
            try await store.createKey(KeyRequest(userID: user.id, name: "another"))
        }
        #expect(try HashKeyFile(path: path).read() == nil)

        try await bench.store.revokeKey(key.info.id, of: user.id)
        _ = try await store.createKey(KeyRequest(userID: user.id, name: "another"))
        #expect(try HashKeyFile(path: path).read() != nil)
    }

    @Test func makesAFileForANewIDBesideKeysOfAFormerOne() async throws {
        let (bench, directory) = (try await AuthBench(), TemporaryDirectory())
        _ = try await bench.user("alice")
        let path = directory.path + "/new.key"
        let source = HashKeySource(
            currentID: "new", places: [("default", .literal(AuthBench.secret)), ("new", .file(path))])
        _ = try await KeyStore(database: bench.file, hashKeys: source, clock: bench.time.clock).loadHashKeys()
        #expect(try HashKeyFile(path: path).read() != nil)
    }

    @Test(.timeLimit(.minutes(1))) func makesNoFileBeforeTheDatabaseAnswersAndRefusesNobodyAsUnknown() async throws {
        let (bench, directory) = (try await AuthBench(), TemporaryDirectory())
        let path = directory.path + "/hash.key"
        let plugin = try bench.plugin(.hashKey("file:\(path)"))
        bench.database.isDown = true
        let reads = bench.database.reads
        try await testGracefulShutdown { trigger in
            async let running: Void = plugin.run()
            while bench.database.reads == reads { await Task.yield() }
            #expect(try HashKeyFile(path: path).read() == nil)
            let presented = try PresentedKey(["Authorization": "Bearer \(APIKey.generate().key.reveal())"])
            let error = await #expect(throws: GatewayError.self) { try await plugin.verifier.verify(presented) }
            #expect(error?.code == "authentication_unavailable")

            bench.database.isDown = false
            while try HashKeyFile(path: path).read() == nil { await Task.yield() }
            trigger.triggerGracefulShutdown()
            try await running
        }
    }

    @Test(.timeLimit(.minutes(1))) func endsTheProcessWhenTheFileOfStoredKeysIsMissing() async throws {
        let (bench, directory) = (try await AuthBench(), TemporaryDirectory())
        _ = try await bench.user("alice")
        let path = directory.path + "/hash.key"
        let plugin = try bench.plugin(.hashKey("file:\(path)"))
        await #expect(throws: HashKeyError.self) { try await plugin.run() }
        #expect(try HashKeyFile(path: path).read() == nil)
    }

    @Test func refusesAFileThatHoldsTooLittle() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/hash.key"
        let file = open(path, O_WRONLY | O_CREAT, 0o600)
        _ = write(file, "short\n", 6)
        close(file)
        let error = #expect(throws: HashKeyError.self) { try HashKeyFile(path: path).read() }
        #expect(error?.description.contains("short\n") == false)
        #expect(throws: HashKeyError.self) { try HashKeyFile(path: "/proc/self/mem").read() }
        #expect(throws: HashKeyError.self) { try HashKeyFile(path: "/proc/none/hash.key").create() }
    }
}

@Suite struct AuthConfigurationTests {
    private typealias Entry = (key: String, location: ConfigurationNode.Location, node: ConfigurationNode)
    private static let location = ConfigurationNode.Location(file: "test.yaml", line: 1)

    private func section(_ values: [String: String], hashKeys: [(String, String)] = []) throws -> ConfigurationSection {
        func entry(_ key: String, _ content: ConfigurationNode.Content) -> Entry {
            (key, Self.location, ConfigurationNode(content, at: Self.location))
        }
        func scalar(_ text: String) -> ConfigurationNode.Content { .scalar(text, isQuoted: false) }
        var entries = values.map { entry($0.key, scalar($0.value)) }
        if !hashKeys.isEmpty {
            entries.append(entry("hash_keys", .section(hashKeys.map { entry($0.0, scalar($0.1)) })))
        }
        let environment = ConfigurationEnvironment(
            variable: { $0 == "HASH_KEY" ? AuthBench.secret.reveal() : nil }, readFile: { _ in nil })
        return try ConfigurationSection(
            ConfigurationNode(.section(entries), at: Self.location), path: "auth", environment: environment)
    }

    @Test func takesAHashKeyFromTheEnvironment() throws {
        let section = try section(["hash_key": "${HASH_KEY}", "grace": "5m", "cache_entries": "100"])
        let configuration = try AuthConfiguration(section)
        #expect(try configuration.hashKeys.load().currentID == "default")
        #expect(configuration.cache.grace == .seconds(300))
        #expect(configuration.cache.entries == 100)
        #expect(section.unknownKeys().isEmpty)
    }

    @Test func takesSeveralHashKeysAndTheCurrentOne() throws {
        let two = [("a", "${HASH_KEY}"), ("b", "file:/proc/none/x")]
        let section = try section(["current_hash_key": "a"], hashKeys: two)
        _ = try AuthConfiguration(section)
        #expect(section.unknownKeys().isEmpty)
        #expect(throws: ConfigurationError.self) { try AuthConfiguration(self.section([:], hashKeys: two)) }
        #expect(throws: ConfigurationError.self) {
            try AuthConfiguration(self.section(["current_hash_key": "c"], hashKeys: two))
        }
        #expect(throws: ConfigurationError.self) {
            try AuthConfiguration(self.section(["hash_key": "${HASH_KEY}"], hashKeys: two))
        }
    }

    @Test func refusesAShortOrMissingHashKeyWithoutShowingIt() throws {
        #expect(throws: ConfigurationError.self) { try AuthConfiguration(self.section([:])) }
        let error = #expect(throws: ConfigurationError.self) {
            try AuthConfiguration(self.section(["hash_key": "too-short-a-secret"]))
        }
        #expect(error?.key == "auth.hash_key")
        #expect(error?.description.contains("too-short") == false)
    }

    @Test func aReloadWithAFileThatCannotBeUsedIsAnErrorOfTheConfiguration() async throws {
        let (bench, directory) = (try await AuthBench(), TemporaryDirectory())
        var resources = Resources()
        resources[DatabaseKey.self] = bench.database
        resources[ClockKey.self] = bench.time.clock
        func make(_ section: ConfigurationSection, replacing former: Inheritance?) throws -> Inheritance {
            let inheritance = Inheritance(from: former)
            _ = try AuthPlugin.factory.make(
                PluginSetup(configuration: section, resources: resources, inheritance: inheritance))
            return inheritance
        }
        let path = directory.path + "/hash.key"
        let first = try make(try section(["hash_key": "file:\(path)"]), replacing: nil)
        #expect(try HashKeyFile(path: path).read() == nil, "what is only checked makes nothing")
        _ = try make(try section(["hash_key": "file:\(path)"]), replacing: first)
        #expect(try HashKeyFile(path: path).read() == nil, "nor does a reload, while nobody has a key")
        _ = try HashKeyFile(path: path).create()
        let second = try make(try section(["hash_key": "file:\(path)"]), replacing: nil)
        unlink(path)
        let missing = #expect(throws: ConfigurationError.self) {
            try make(self.section(["hash_key": "file:\(path)"]), replacing: second)
        }
        #expect(missing?.key == "auth.hash_key" && missing?.description.contains("put it back") == true)
        #expect(try HashKeyFile(path: path).read() == nil, "one that is missing is not made anew")

        let file = open(path, O_WRONLY | O_CREAT, 0o600)
        _ = write(file, "short\n", 6)
        close(file)
        let single = #expect(throws: ConfigurationError.self) {
            try make(self.section(["hash_key": "file:\(path)"]), replacing: second)
        }
        #expect(single?.key == "auth.hash_key" && single?.description.contains(path) == true)
        let several = #expect(throws: ConfigurationError.self) {
            try make(self.section([:], hashKeys: [("a", "file:/proc/none/x")]), replacing: second)
        }
        #expect(several?.key == "auth.hash_keys")
    }

    @Test func makesThePluginWithoutTouchingTheDatabase() async throws {
        let bench = try await AuthBench()
        var resources = Resources()
        resources[DatabaseKey.self] = bench.database
        resources[ClockKey.self] = bench.time.clock
        let reads = bench.database.reads
        let setup = PluginSetup(configuration: try section(["hash_key": "${HASH_KEY}"]), resources: resources)
        let plugin = try AuthPlugin.factory.make(setup)
        #expect(AuthPlugin.factory.stage == .authenticate)
        #expect(plugin.middleware != nil)
        #expect(plugin.migrations.count == 2)
        #expect(bench.database.reads == reads)
    }
}
