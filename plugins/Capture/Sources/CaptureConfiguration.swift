import TurnpikeKit

/// `plugins.capture`.
struct CaptureConfiguration: Sendable {
    /// `max_answer` (size, default 8 MB): how much of one answer is held and stored.
    var maxAnswer = 8 << 20
    /// `max_turn` (size, default 32 MB): how large the new messages of one request may be.
    var maxTurn = 32 << 20

    init() {}

    init(_ section: ConfigurationSection) throws {
        maxAnswer = try section.bytes("max_answer", default: maxAnswer)
        maxTurn = try section.bytes("max_turn", default: maxTurn)
    }
}
