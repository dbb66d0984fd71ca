public import Persistence

/// A session and its owner, which is how a session is named everywhere: no query goes without the owner.
public struct SessionKey: Hashable, Comparable, Sendable {
    /// The user who owns it.
    public let owner: UniqueID
    /// The session. It means nothing without its owner.
    public let session: UniqueID

    public init(owner: UniqueID, session: UniqueID) {
        self.owner = owner
        self.session = session
    }

    /// The order in which rows are locked, so that two transactions never wait for each other in a circle.
    public static func < (left: SessionKey, right: SessionKey) -> Bool {
        (left.owner, left.session) < (right.owner, right.session)
    }
}

/// How a client names a session of its user: by the id that the server made, or by one that the client chose.
///
/// Client-chosen ids live in the user's own name space. A text that looks like a server's id may still be a client's
/// (browsers make UUIDs), so both are tried, the server's first.
public struct SessionReference: Hashable, Sendable {
    /// The server's id, if the text is one.
    public let id: UniqueID?
    /// The text as the client sent it.
    public let text: String

    /// Reads what a client sent: `sess_` and 32 hex digits, a UUID, or any text.
    public init(_ text: String) {
        self.text = text
        id = UniqueID(text, prefix: Session.idPrefix)
    }

    /// Names a session by the server's id alone.
    public init(_ id: UniqueID) {
        self.id = id
        text = ""
    }
}
