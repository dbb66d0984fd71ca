public import Persistence

/// Where a search goes on: at the messages of this session before `seq`, then at the sessions behind it.
public struct SearchCursor: Sendable, Equatable {
    public var lastMessageAt: Timestamp
    public var session: UniqueID
    /// Messages from this seq on have been looked at; nil: nothing of the session, its title neither.
    public var seq: Int64?

    public init(lastMessageAt: Timestamp, session: UniqueID, seq: Int64?) {
        self.lastMessageAt = lastMessageAt
        self.session = session
        self.seq = seq
    }
}

/// Something that was found: a title, or a message.
public struct SearchHit: Sendable, Equatable {
    public var session: UniqueID
    public var title: String
    /// The message; nil: it is the title.
    public var seq: Int64?
    public var role: MessageRole?
    /// What stands around the text that was looked for.
    public var snippet: String
    public var createdAt: Timestamp
}

/// A part of a search.
public struct SearchResult: Sendable, Equatable {
    public var hits: [SearchHit] = []
    /// Where to go on; nil: everything was looked at.
    public var next: SearchCursor?

    public init() {}
}

/// What is looked for, and how long.
public struct SearchQuery: Sendable {
    public var text: FoldedText
    public var limit: Int
    public var from: SearchCursor?

    public init(text: String, limit: Int, from: SearchCursor? = nil) {
        self.text = FoldedText(text)
        self.limit = max(1, limit)
        self.from = from
    }
}
