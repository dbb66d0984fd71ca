public import Persistence
public import ServiceLifecycle

/// A feature and the work that keeps it alive.
///
/// `run()` comes from `Service`: it starts before the first request and returns after the last one; flush and close
/// there. A plugin with nothing to do in the background keeps the default, which waits for the shutdown.
public protocol Plugin: Service {
    /// The plugin's step in the chain, or `nil` for one that only answers paths of its own.
    var middleware: (any Middleware)? { get }
    /// The plugin's own endpoints.
    var routes: [Route] { get }
    /// The plugin's tables. The host applies them when the database first answers.
    var migrations: [Migration] { get }
    /// Endpoints that the plugin's middleware answers, for the API document. Those of `routes` describe themselves.
    var endpoints: [DescribedEndpoint] { get }
    /// The schemas that the descriptions of its endpoints name.
    var schemas: [RouteSchema] { get }
}

extension Plugin {
    public var middleware: (any Middleware)? { nil }
    public var routes: [Route] { [] }
    public var migrations: [Migration] { [] }
    public var endpoints: [DescribedEndpoint] { [] }
    public var schemas: [RouteSchema] { [] }
    public func run() async throws { try await gracefulShutdown() }
}

/// Makes a plugin from its configuration.
public struct PluginFactory: Sendable {
    /// The plugin's name in `chain`, `plugins` and `flags`.
    public let id: String
    public let stage: Stage
    /// The top-level section that holds the plugin's configuration; `nil` means `plugins.<id>`.
    public let section: String?
    /// What the plugin's own failure does to a request. Only what may be switched by a flag can fail open: the host
    /// runs the others closed, whatever they say.
    public let onFailure: FailurePolicy
    /// Reads the configuration and never touches the database: Turnpike starts without one.
    public let make: @Sendable (PluginSetup) throws -> any Plugin

    public init(
        id: String, stage: Stage, section: String? = nil, onFailure: FailurePolicy = .closed,
        make: @escaping @Sendable (PluginSetup) throws -> any Plugin
    ) {
        self.id = id
        self.stage = stage
        self.section = section
        self.onFailure = onFailure
        self.make = make
    }

    /// Whether a flag may switch this plugin: from `resolve` on, except what the rest of the chain cannot do without.
    public var isSwitchable: Bool { stage >= .resolve && stage != .route && id != "models" }
}

/// What a plugin is made from.
public struct PluginSetup: Sendable {
    /// The plugin's own part of the configuration. Read every key, always: what nobody reads is refused as unknown.
    public let configuration: ConfigurationSection
    /// What outlives a reload of the configuration.
    public let inheritance: Inheritance
    /// Where the plugin's numbers are registered.
    public let metrics: MetricRegistry
    private let resources: Resources

    package init(
        configuration: ConfigurationSection, resources: Resources, inheritance: Inheritance = Inheritance()
    ) {
        self.configuration = configuration
        self.resources = resources
        self.inheritance = inheritance
        metrics = resources.find(MetricRegistryKey.self) ?? MetricRegistry()
    }

    /// Something that the host may provide.
    package func find<Key: ResourceKey>(_ key: Key.Type) -> Key.Value? { resources.find(key) }

    /// Something that the host provides, such as the database. A missing one is an error of the composition root.
    public subscript<Key: ResourceKey>(key: Key.Type) -> Key.Value { resources[key] }
}

/// The name and type of something that the host hands to plugins.
public protocol ResourceKey {
    associatedtype Value: Sendable
}

/// What the composition root provides, by typed key.
package struct Resources: Sendable {
    private var values: [ObjectIdentifier: any Sendable] = [:]

    package init() {}

    /// What is provided, if it is.
    package func find<Key: ResourceKey>(_ key: Key.Type) -> Key.Value? { values[ObjectIdentifier(key)] as? Key.Value }

    package subscript<Key: ResourceKey>(key: Key.Type) -> Key.Value {
        get {
            guard let value = find(key) else {
                preconditionFailure("The composition root provides no \(key).")
            }
            return value
        }
        set { values[ObjectIdentifier(key)] = newValue }
    }
}

/// The database that all plugins share.
public enum DatabaseKey: ResourceKey { public typealias Value = any Database }
/// Where a process keeps files of its own: beside the file of an embedded database, or `data`.
package enum StateDirectoryKey: ResourceKey { package typealias Value = String }
/// Where turns wait while the database does not answer; nothing if they do not.
package enum SpoolDirectoryKey: ResourceKey { package typealias Value = String }
/// The clocks, injectable.
public enum ClockKey: ResourceKey { public typealias Value = GatewayClock }
/// Sends requests upstream.
public enum UpstreamClientKey: ResourceKey { public typealias Value = any UpstreamClient }
/// `server.max_body`: how many bytes of a request's body may be collected.
public enum BodyLimitKey: ResourceKey { public typealias Value = Int }
