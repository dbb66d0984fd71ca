import ActivityPlugin
import AuthPlugin
import CapturePlugin
import HistoryPlugin
import ModelsPlugin
import RetentionPlugin
import RouterPlugin
import SessionPlugin
import TurnpikeKit

/// The one list of what is built in, in the order of the chain.
enum BuiltInPlugins {
    static let factories: [PluginFactory] = [
        ActivityPlugin.factory, RetentionPlugin.factory, AuthPlugin.factory, SessionPlugin.factory,
        ModelsPlugin.factory, CapturePlugin.factory,
        HistoryPlugin.factory, RouterPlugin.factory,
    ]
}
