/// Where in the chain a middleware stands. Requests pass the stages in this order, answers in reverse.
///
/// Up to `limit` only the head is looked at, so a client that is refused there cannot make Turnpike buffer a body.
/// Turnpike's own routes are dispatched between `limit` and `resolve`.
public enum Stage: Int, Sendable, Comparable, CaseIterable {
    /// Sees every exchange and its outcome, refused ones too.
    case observe
    /// Finds out who is asking.
    case authenticate
    /// Refuses what this principal may not do now.
    case limit
    /// Finds what the request is about: its session, its route plan.
    case resolve
    /// Stores the turn. It stands outside `transform`, so that what it stores is what the client received.
    case capture
    /// Third-party rewriting of requests and answers.
    case transform
    /// Builds the final messages from the session's history.
    case history
    /// Sends the request upstream and brings the answer back.
    case route

    public static func < (left: Stage, right: Stage) -> Bool { left.rawValue < right.rawValue }

    /// The name used in the configuration.
    public var name: String { "\(self)" }
}
