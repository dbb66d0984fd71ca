import Synchronization
package import TurnpikeKit

/// Everything that a configuration builds and a reload replaces: chain, flags, routes. Immutable.
package final class World: Sendable {
    package let configuration: GatewayConfiguration
    /// The plugins in the order of the chain. Their `run()` keeps the world alive.
    package let plugins: [(id: String, plugin: any Plugin)]
    let chain: Chain
    let publicRoutes: RouteTable
    /// What the next world's plugins get from this one's.
    let inheritance: Inheritance
    /// What `/openapi.json` says.
    package let document: OpenAPIDocument
    private let onEnd = Mutex<(@Sendable () -> Void)?>(nil)

    init(
        configuration: GatewayConfiguration, plugins: [(id: String, plugin: any Plugin)], chain: Chain,
        publicRoutes: RouteTable, inheritance: Inheritance, document: OpenAPIDocument
    ) {
        self.configuration = configuration
        self.plugins = plugins
        self.chain = chain
        self.publicRoutes = publicRoutes
        self.inheritance = inheritance
        self.document = document
    }

    /// Runs when nobody refers to this world any more: it was replaced, and its last exchange is over.
    func whenGone(_ action: @escaping @Sendable () -> Void) { onEnd.withLock { $0 = action } }

    deinit { onEnd.withLock { $0 }?() }
}

/// The world an exchange began in; it ends in the same one, whatever is reloaded meanwhile.
enum WorldKey: ExchangeKey { typealias Value = World }

extension World: FlagEvaluator {
    package func isOn(_ name: String, in exchange: Exchange) -> Bool { configuration.flags.isOn(name, in: exchange) }
    package func inEffect(for exchange: Exchange) -> [String] { configuration.flags.inEffect(for: exchange) }
}
