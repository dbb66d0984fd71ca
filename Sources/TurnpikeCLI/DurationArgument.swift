import ArgumentParser
import TurnpikeKit

/// A duration as a configuration writes it, such as `90s` or `24h`.
struct DurationArgument: ExpressibleByArgument {
    let duration: Duration
    /// As it was written.
    let defaultValueDescription: String

    init?(argument: String) {
        guard let duration = Quantity.duration(argument) else { return nil }
        self.duration = duration
        defaultValueDescription = argument
    }
}
