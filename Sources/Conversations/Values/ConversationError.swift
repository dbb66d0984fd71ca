/// What a caller did wrong with a conversation. What the database could not do is a `DatabaseError`.
public enum ConversationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A value that cannot be stored. The text names the field, never the value, and may be shown to a client.
    case invalid(String)
    /// The user has a session with this external id already.
    case alreadyExists
    /// The user has another session that is this conversation of the agent.
    case conversationTaken
    /// The user has as many sessions as it may have.
    case tooManySessions(limit: Int)
    /// There would be more messages than there may be.
    case tooManyMessages(limit: Int, of: Whole)

    /// What a limit on messages is for.
    public enum Whole: Sendable, Equatable { case session, user }

    public var description: String {
        switch self {
        case .invalid(let reason): reason
        case .alreadyExists: "a session with this id exists"
        case .conversationTaken: "another session is this conversation of the agent"
        case .tooManySessions(let limit): "the user has \(limit) sessions already"
        case .tooManyMessages(let limit, .session): "the session would have more than \(limit) messages"
        case .tooManyMessages(let limit, .user): "the user would have more than \(limit) messages"
        }
    }
}
