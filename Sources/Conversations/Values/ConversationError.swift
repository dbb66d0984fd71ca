/// What a caller did wrong with a conversation. What the database could not do is a `DatabaseError`.
public enum ConversationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A value that cannot be stored. The text names the field, never the value, and may be shown to a client.
    case invalid(String)
    /// The user has a session with this external id already.
    case alreadyExists
    /// The user has as many sessions as it may have.
    case tooManySessions(limit: Int)

    public var description: String {
        switch self {
        case .invalid(let reason): reason
        case .alreadyExists: "a session with this id exists"
        case .tooManySessions(let limit): "the user has \(limit) sessions already"
        }
    }
}
