// swift-tools-version: 6.2
// Turnpike: a plugin-based middleware proxy for OpenAI-compatible APIs.
//
// The order of the targets is the order of the layers: a target may import only what its `dependencies` name, and
// the build checks it (`--explicit-target-dependency-import-check error`). Versions are exact because the lock file
// is not committed.
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

// Products of other packages, by short names.
let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let lifecycleTestKit: Target.Dependency = .product(
    name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let sqlite: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// A built-in plugin: `plugins/<Name>/Sources` is the target `<Name>Plugin`. A plugin never imports another plugin,
/// the server, the upstream client, or a concrete database.
func plugin(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(
        name: "\(name)Plugin", dependencies: ["TurnpikeKit"] + dependencies, path: "plugins/\(name)/Sources",
        swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

func pluginTests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: "\(name)PluginTests", dependencies: [.byName(name: "\(name)Plugin"), "TurnpikeKit"] + dependencies,
        path: "plugins/\(name)/Tests", swiftSettings: settings)
}

let package = Package(
    name: "turnpike",
    products: [
        .executable(name: "turnpike", targets: ["TurnpikeCLI"]),
        .library(name: "TurnpikeKit", targets: ["TurnpikeKit"]),
        .library(name: "TurnpikeTesting", targets: ["TurnpikeTesting"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    ],
    targets: [
        // Pure: bytes and values.
        module("OpenAIWire", [nio, crypto]),
        .target(name: "CTokenTables", exclude: ["tables"]),
        module("Tokens", ["OpenAIWire", "CTokenTables", nio]),
        module("Persistence", [nio, logging]),
        // Records on local disk, whatever they mean.
        module("Journal", ["Persistence", nio, logging, deque]),

        // What a plugin author needs.
        module("TurnpikeKit", ["OpenAIWire", "Persistence", "Tokens", nio, nioHTTP1, logging, lifecycle]),
        module(
            "Conversations",
            ["TurnpikeKit", "Persistence", "OpenAIWire", "Journal", deque, nio, nioHTTP1, logging, crypto]),

        // I/O.
        .target(name: "CCurl", linkerSettings: [.linkedLibrary("curl")]),
        module("Upstream", ["TurnpikeKit", "CCurl", nio, nioPosix, nioHTTP1, logging, lifecycle]),
        module("Server", ["TurnpikeKit", nio, nioPosix, nioHTTP1, nioSSL, logging, lifecycle, deque]),
        module("PersistenceSQLite", ["Persistence", grdb, sqlite, nio, logging]),
        .target(name: "CMariaDB", linkerSettings: [.linkedLibrary("mariadb")]),
        module("PersistenceMariaDB", ["Persistence", "CMariaDB", nio, logging]),

        // For tests of ours and of plugin authors: a gateway around a plugin, conformance suites, fault injection.
        module(
            "TurnpikeTesting",
            [
                "TurnpikeKit", "TurnpikeRuntime", "Server", "Persistence", "PersistenceSQLite", "PersistenceMariaDB",
                "Journal", "Conversations", nio, nioPosix, nioHTTP1, logging, lifecycle,
            ]),
        module("EchoProvider", ["TurnpikeKit", "OpenAIWire", "Persistence", nio, nioHTTP1, logging]),

        // Features.
        plugin("Activity", ["OpenAIWire", "Persistence", "Journal", nio, nioHTTP1, logging, lifecycle]),
        plugin("Auth", ["Persistence", nio, nioHTTP1, logging, lifecycle, crypto]),
        plugin("Retention", ["Conversations", "Persistence", logging, lifecycle]),
        plugin("Session", ["Conversations", "OpenAIWire", "Persistence", nio, nioHTTP1, logging]),
        plugin("Models", ["OpenAIWire", "Persistence", "Tokens", nio, nioHTTP1, logging]),
        plugin("Capture", ["Conversations", "OpenAIWire", nio, nioHTTP1, logging]),
        plugin("History", ["Conversations", "OpenAIWire", nio, nioHTTP1, logging]),
        plugin("Router", ["OpenAIWire", "Tokens", nio, nioHTTP1, logging]),

        // Assembly.
        module(
            "TurnpikeRuntime",
            [
                "TurnpikeKit", "Tokens", "OpenAIWire", "Persistence", "Conversations", "Server", "Upstream", nio,
                nioHTTP1,
                nioPosix, logging, lifecycle, yams,
            ]),
        .executableTarget(
            name: "TurnpikeCLI",
            dependencies: [
                "TurnpikeRuntime", "TurnpikeKit", "OpenAIWire", "Persistence", "PersistenceSQLite",
                "PersistenceMariaDB", "Tokens", "Journal", "Conversations", "Server", "Upstream", "EchoProvider",
                "ActivityPlugin", "AuthPlugin", "RetentionPlugin", "SessionPlugin", "ModelsPlugin", "CapturePlugin",
                "HistoryPlugin", "RouterPlugin", arguments, logging, lifecycle, unixSignals, nio,
                nioHTTP1, nioPosix,
            ],
            swiftSettings: settings),

        // What scripts/bench-store runs.
        .executableTarget(
            name: "StoreBench",
            dependencies: [
                "Conversations", "Persistence", "PersistenceSQLite", "PersistenceMariaDB", arguments, logging, nio,
            ],
            swiftSettings: settings),
        // What scripts/bench-tokens runs.
        .executableTarget(name: "TokenBench", dependencies: ["Tokens", arguments], swiftSettings: settings),

        tests(
            "ServerTests",
            [
                "Server", "TurnpikeKit", "OpenAIWire", "TurnpikeTesting", nio, nioPosix, nioHTTP1, nioEmbedded, nioSSL,
                logging, lifecycle,
            ]),
        tests("OpenAIWireTests", ["OpenAIWire", "TurnpikeTesting", nio]),
        tests("TokensTests", ["Tokens", "OpenAIWire", "TurnpikeTesting", nio]),
        pluginTests("Session", ["Conversations", "OpenAIWire", nio, nioHTTP1]),
        tests(
            "SessionChainTests",
            [
                "SessionPlugin", "HistoryPlugin", "CapturePlugin", "TurnpikeKit", "Conversations", "OpenAIWire",
                "Persistence", "TurnpikeTesting", nio, nioPosix, nioHTTP1, logging,
            ]),
        tests(
            "PersistenceTests",
            [
                "Persistence", "PersistenceSQLite", "PersistenceMariaDB", "Conversations", "TurnpikeTesting", nio,
                logging,
            ]),
        tests("JournalTests", ["Journal", "Persistence", "TurnpikeTesting", nio, logging]),
        tests(
            "ConversationsTests",
            ["Conversations", "OpenAIWire", "Persistence", "PersistenceSQLite", "TurnpikeTesting", nio, logging]),
        tests(
            "TurnpikeRuntimeTests",
            [
                "TurnpikeRuntime", "TurnpikeKit", "OpenAIWire", "Persistence", "PersistenceSQLite", "TurnpikeTesting",
                nio,
                nioHTTP1, nioPosix, logging, lifecycle,
            ]),
        pluginTests(
            "Activity",
            [
                "OpenAIWire", "Persistence", "Journal", "TurnpikeTesting", nio, nioPosix, nioHTTP1, logging,
                lifecycleTestKit,
            ]),
        pluginTests(
            "Auth",
            [
                "Persistence", "TurnpikeTesting", nioPosix, nioHTTP1, logging, lifecycleTestKit,
            ]),
        pluginTests(
            "Retention", ["Conversations", "Persistence", "PersistenceSQLite", "TurnpikeTesting", logging]),
        pluginTests("Models", ["OpenAIWire", nio, nioHTTP1, nioPosix, logging]),
        pluginTests("Router", [nio, nioHTTP1, nioPosix, logging]),
        tests("UpstreamTests", ["Upstream", "TurnpikeKit", nio, nioHTTP1, nioPosix, nioSSL, logging]),
        tests(
            "TurnpikeKitTests",
            [
                "TurnpikeKit", "TurnpikeTesting", "OpenAIWire", "Persistence", nio, nioHTTP1, nioPosix, nioEmbedded,
                logging,
            ]),
        tests(
            "EchoProviderTests",
            ["EchoProvider", "TurnpikeKit", "OpenAIWire", nio, nioHTTP1, nioPosix, nioEmbedded, logging]),
    ]
)
