/// What a client's messages are in relation to the stored ones of its session.
///
/// The request says, else the session, else the key, else the configuration.
public enum HistoryMode: String, Sendable, CaseIterable {
    /// Found out by comparing them.
    case auto
    /// All of them are new.
    case append
    /// They are the whole conversation.
    case replace
    /// The session is neither read nor written: for title and tag tasks of chat applications.
    case off
}
