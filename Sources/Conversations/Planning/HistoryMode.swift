/// What a client's messages are in relation to the session's stored ones.
package enum HistoryMode: String, Sendable, CaseIterable {
    /// Found out by comparing them: see ``TurnPlanner``.
    case auto
    /// All of them are new.
    case append
    /// They are the whole conversation.
    case replace
    /// The session is neither read nor written: for title and tag tasks of chat applications.
    case off
}
