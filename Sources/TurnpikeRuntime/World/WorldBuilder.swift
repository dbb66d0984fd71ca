import Conversations
import Tokens
package import TurnpikeKit

/// Makes a world from a configuration: plugins, chain, routes. Fails completely or not at all.
package struct WorldBuilder: Sendable {
    private let factories: [PluginFactory]
    private let resources: Resources
    private let ownRoutes: [Route]

    /// `factories` are the built-in plugins, one array in the executable; `ownRoutes` answer for the host itself.
    package init(factories: [PluginFactory], resources: Resources, ownRoutes: [Route]) {
        self.factories = factories
        self.resources = resources
        self.ownRoutes = ownRoutes
    }

    /// Throws the first ``ConfigurationError``; unknown keys are thrown all together, as ``ConfigurationErrors``. Nothing is started and no database is touched.
    ///
    /// - Parameter former: The world that this one will replace: its plugins leave their caches.
    package func build(_ configuration: GatewayConfiguration, replacing former: World? = nil) throws -> World {
        var resources = resources
        let inheritance = Inheritance(from: former?.inheritance)
        resources[ProvidersKey.self] = configuration.providers
        // What was learned of models outlives the world; what the catalogue says of them does not.
        let learned = resources.find(TokenCountersKey.self)?.calibration ?? TokenCalibration()
        resources[TokenCountersKey.self] = TokenCounters(configuration.models, calibration: learned)
        resources[BodyLimitKey.self] = configuration.server.maxBody
        resources[StateDirectoryKey.self] = configuration.database.stateDirectory
        if let spool = configuration.spool.settings { resources[SpoolDirectoryKey.self] = spool.directory }
        let metrics = resources.find(MetricRegistryKey.self)?.draft()
        if let metrics { resources[MetricRegistryKey.self] = metrics }
        let ordered = try ChainOrder(configuration, factories: factories).factories
        let sections = try configuration.root.section("plugins")
        let plugins = try ordered.map { factory in
            let section = try factory.section.map { try configuration.root.section($0) } ?? sections.section(factory.id)
            return (
                id: factory.id, factory: factory,
                plugin: try factory.make(
                    PluginSetup(configuration: section, resources: resources, inheritance: inheritance))
            )
        }
        try checkFlags(configuration)
        try refuseUnknownKeys(of: configuration)

        let answered = ownRoutes + plugins.flatMap { $0.plugin.routes }
        let document = OpenAPIDocument(routes: answered, plugins: plugins.map(\.plugin))
        let routes = answered + [document.route]
        let dispatcher = Dispatcher(
            routes: RouteTable(routes.filter { $0.access != .anyone }), bodyLimit: configuration.server.maxBody)
        var links: [Chain.Link] = []
        for (id, factory, plugin) in plugins {
            if factory.stage > .limit, !links.contains(where: { $0.id == Dispatcher.id }) {
                links.append(dispatcher.link)
            }
            guard let middleware = plugin.middleware else { continue }
            links.append(
                factory.isSwitchable
                    ? Chain.Link(id: id, middleware: middleware, flag: id, onFailure: factory.onFailure)
                    : Chain.Link(id: id, middleware: middleware))
        }
        metrics?.publish()
        return World(
            configuration: configuration, plugins: plugins.map { ($0.id, $0.plugin) }, chain: Chain(links),
            publicRoutes: RouteTable(routes.filter { $0.access == .anyone }), inheritance: inheritance,
            document: document)
    }

    /// Every plugin has read what it knows by now.
    private func refuseUnknownKeys(of configuration: GatewayConfiguration) throws {
        let unknown = configuration.root.unknownKeys()
        if !unknown.isEmpty { throw ConfigurationErrors(unknown) }
    }

    /// A flag on something that cannot be switched would be a lie: authentication, limits, the router.
    private func checkFlags(_ configuration: GatewayConfiguration) throws {
        let section = configuration.flags.section
        let switchable = factories.filter(\.isSwitchable).map(\.id)
        for name in section.names where !switchable.contains(name) {
            let isPlugin = factories.contains { $0.id == name }
            let near = Spelling.nearest(to: name, among: switchable).map { "; did you mean “\($0)”?" } ?? ""
            throw section.error(
                name, isPlugin ? "this plugin cannot be switched by a flag" : "there is no plugin of this name\(near)")
        }
    }
}

/// The order of the plugins: as the configuration names them, the others inserted at their stage.
struct ChainOrder {
    let factories: [PluginFactory]

    init(_ configuration: GatewayConfiguration, factories all: [PluginFactory]) throws {
        var chosen: [PluginFactory] = []
        for name in configuration.chain {
            guard let factory = all.first(where: { $0.id == name }) else {
                let near = Spelling.nearest(to: name, among: all.map(\.id)).map { "; did you mean “\($0)”?" } ?? ""
                throw configuration.root.error("chain", "nobody provides “\(name)”\(near)")
            }
            if let last = chosen.last, last.stage > factory.stage {
                throw configuration.root.error(
                    "chain",
                    "“\(name)” belongs to stage \(factory.stage.name), which comes before “\(last.id)” (\(last.stage.name))"
                )
            }
            guard !chosen.contains(where: { $0.id == name }) else {
                throw configuration.root.error("chain", "“\(name)” appears twice")
            }
            chosen.append(factory)
        }
        for factory in all where !chosen.contains(where: { $0.id == factory.id }) {
            let place = chosen.firstIndex { $0.stage > factory.stage } ?? chosen.endIndex
            chosen.insert(factory, at: place)
        }
        factories = chosen
    }
}
