import Conversations
import TurnpikeKit

/// `plugins.history`.
struct HistoryConfiguration: Sendable {
    /// Whether the plugin acts.
    enum Mode: String, CaseIterable, Sendable {
        /// The history goes upstream.
        case inject
        /// Everything is worked out and reported, and the request goes upstream as it came.
        case shadow
    }

    /// What becomes of a request whose session cannot be read.
    enum Failure: String, CaseIterable, Sendable {
        /// 503: an answer without memory would be worse.
        case refuse
        /// It is answered without the history, and the header says so.
        case degrade
    }

    /// `mode` (string, default `inject`).
    var mode = Mode.inject
    /// `max_history_messages` (number, default 20), `truncation` (string, default `rolling`): for sessions that have
    /// none of their own. `retention_ratio` (number, default 0.7), `reserved_output` (tokens, default 1024),
    /// `default_context_window` (tokens, default 8192), `replay_partial` (boolean, default true).
    var rules = HistoryRules()
    /// `on_history_failure` (string, default `refuse`).
    var onFailure = Failure.refuse

    init() {}

    init(_ section: ConfigurationSection) throws {
        mode = try section.choice("mode", default: mode)
        rules.maxMessages = try section.int("max_history_messages", default: rules.maxMessages, in: 0...1_000_000)
        rules.truncation = try section.choice("truncation", default: rules.truncation)
        rules.retentionRatio = try section.double("retention_ratio", default: rules.retentionRatio, in: 0.05...1)
        rules.reservedOutput = try section.int("reserved_output", default: rules.reservedOutput, in: 0...10_000_000)
        rules.defaultContextWindow = try section.int(
            "default_context_window", default: rules.defaultContextWindow, in: 256...100_000_000)
        rules.replaysPartialAnswers = try section.bool("replay_partial", default: rules.replaysPartialAnswers)
        onFailure = try section.choice("on_history_failure", default: onFailure)
    }
}
