import TurnpikeKit

/// `plugins.history`.
struct HistoryConfiguration: Sendable {
    /// What becomes of a request whose session cannot be read.
    enum Failure: String, CaseIterable, Sendable {
        /// 503: an answer without memory would be worse.
        case refuse
        /// It is answered without the history, and the header says so.
        case degrade
    }

    /// `max_history_messages` (number, default 20): for sessions that have no limit of their own.
    var maxHistoryMessages = 20
    /// `on_history_failure` (string, default `refuse`).
    var onFailure = Failure.refuse

    init() {}

    init(_ section: ConfigurationSection) throws {
        maxHistoryMessages = try section.int(
            "max_history_messages", default: maxHistoryMessages, in: 0...1_000_000)
        onFailure = try section.choice("on_history_failure", default: onFailure)
    }
}
