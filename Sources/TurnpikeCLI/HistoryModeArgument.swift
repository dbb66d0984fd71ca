import ArgumentParser
import TurnpikeKit

/// The history mode that a key is to have: one of them, or `default` for what the configuration says.
struct HistoryModeArgument: ExpressibleByArgument {
    /// `nil`: as configured.
    let mode: HistoryMode?

    init?(argument: String) {
        mode = HistoryMode(rawValue: argument)
        guard mode != nil || argument == Self.asConfigured else { return nil }
    }

    private static let asConfigured = "default"
    static let allValueStrings = HistoryMode.allCases.map(\.rawValue) + [asConfigured]
}
