import ActivityPlugin
import AuthPlugin
import ModelsPlugin
import RouterPlugin
import TurnpikeKit

/// The one list of what is built in, in the order of the chain.
enum BuiltInPlugins {
    static let factories: [PluginFactory] = [
        ActivityPlugin.factory, AuthPlugin.factory, ModelsPlugin.factory,
        RouterPlugin.factory,
    ]
}
