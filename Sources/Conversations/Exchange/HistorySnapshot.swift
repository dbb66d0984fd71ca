import NIOCore

/// What was read of a session for one request: enough to build the messages for every target that it may go to.
struct HistorySnapshot: Sendable {
    /// The plan as far as messages are counted; tokens are another matter for each target.
    var plan: HistoryPlan
    /// The stored messages that may go in front, oldest first: what the limit on messages leaves.
    var stored: [StoredMessage] = []
    /// Their bodies as a model sees them again, `nil` for what is left out.
    var replayed: [ByteBuffer?] = []
    /// The session's instructions, where the plan says so.
    var instructions: [ByteBuffer] = []
    /// Where the last cut left the history.
    var contextStart: Int64 = 0
    /// The session's newest turn that the plan knows; `nil` where the session could not be read.
    var knownTurn: KnownTurn?

    /// Whether the stored message at `index` goes in front, in whatever form.
    func isReplayed(_ index: Int) -> Bool { replayed[index] != nil }

    /// Whether a history may begin with the stored message at `index`: see `HistoryOutline.mayBegin`.
    func mayBegin(_ index: Int) -> Bool {
        guard index > 0 else { return true }
        return stored[index - 1].outline.turnID != stored[index].outline.turnID
            && !stored[index].outline.role.answersCall
    }
}
