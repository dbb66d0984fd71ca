import TurnpikeKit

/// The section `activity`.
struct ActivityConfiguration: Sendable, Equatable {
    /// For how long rows are kept.
    var retention: Duration = .seconds(90 * 86_400)

    init() {}

    init(_ section: ConfigurationSection) throws {
        retention = try section.duration("retention", default: retention)
        guard retention >= .seconds(3_600) else { throw section.error("retention", "expected at least 1h") }
    }
}
