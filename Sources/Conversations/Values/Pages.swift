public import Persistence

/// Which sessions a list shows.
public struct SessionFilter: Sendable, Equatable {
    public var agentID: String?
    public var sourceChannel: String?
    /// One of the session's tags.
    public var tag: String?
    /// Text in the title, in upper or lower case.
    public var title: String?
    /// Group sessions too.
    public var includesGroups: Bool
    /// Deleted sessions, and no others.
    public var isDeleted = false

    public init(agentID: String? = nil, sourceChannel: String? = nil, includesGroups: Bool = true) {
        self.agentID = agentID
        self.sourceChannel = sourceChannel
        self.includesGroups = includesGroups
    }

    /// Whether indexes and counters know what is in the list; every other one is a walk along the sessions.
    public var isIndexed: Bool { agentID == nil && sourceChannel == nil && tag == nil && title == nil }
}

/// A place in a list of sessions: right behind this one.
public struct SessionCursor: Sendable, Equatable {
    public var lastMessageAt: Timestamp
    public var session: UniqueID
    /// How many behind it are passed over: the rest of an offset, where a walk ran out of time before its end.
    public var skipped: Int
    /// In a list of deleted sessions, whose order begins with these two.
    public var deletion: Deletion?

    /// What a deleted session is listed by first.
    public struct Deletion: Sendable, Equatable {
        public var at: Timestamp
        public var isGroup: Bool

        public init(at: Timestamp, isGroup: Bool) {
            self.at = at
            self.isGroup = isGroup
        }
    }

    public init(lastMessageAt: Timestamp, session: UniqueID, skipped: Int = 0, deletion: Deletion? = nil) {
        self.lastMessageAt = lastMessageAt
        self.session = session
        self.skipped = skipped
        self.deletion = deletion
    }

    /// Behind `session`.
    public init(_ session: Session) {
        self.init(
            lastMessageAt: session.lastMessageAt, session: session.key.session,
            deletion: session.deletedAt.map { at in
                Deletion(at: at, isGroup: session.conversation?.isGroup ?? false)
            })
    }
}

/// A page of a list of sessions.
public struct SessionQuery: Sendable, Equatable {
    public var filter: SessionFilter
    public var limit: Int
    public var offset: Int
    /// Only what comes behind this place.
    public var after: SessionCursor?
    /// Nothing that is older than this.
    var notBefore: Timestamp?

    public init(_ filter: SessionFilter = SessionFilter(), limit: Int, offset: Int = 0, after: SessionCursor? = nil) {
        self.filter = filter
        self.limit = max(0, limit)
        self.offset = max(0, offset)
        self.after = after
    }
}

/// A part of a list of sessions.
public struct SessionPage: Sendable {
    public var elements: [Session]
    /// How many the whole list has; nil where that would have taken too long to find out.
    public var total: Int?
    /// Where a walk that took too long goes on.
    public var next: SessionCursor?

    public init(elements: [Session], total: Int?, next: SessionCursor? = nil) {
        self.elements = elements
        self.total = total
        self.next = next
    }
}

/// A part of a list.
public struct Page<Element: Sendable>: Sendable {
    public var elements: [Element]
    /// How many the whole list has.
    public var total: Int
    /// Whether it is shorter than asked for because more would have been too many bytes.
    public var isCut = false

    public init(elements: [Element], total: Int) {
        self.elements = elements
        self.total = total
    }
}

extension Page: Equatable where Element: Equatable {}

/// Which messages of a session are asked for.
public struct MessageQuery: Sendable, Equatable {
    public var limit: Int
    public var offset: Int
    public var order = MessageOrder.oldestFirst
    /// Nil: of every chapter.
    public var chapter: String?
    /// Superseded messages too: the branches that were left.
    public var includesSuperseded = false
    /// How many bytes the bodies of a page may have together; the first message is given whatever its length.
    public var maximumBytes = 8 << 20
    /// Only what comes behind this seq, in the given order.
    public var after: Int64?
    /// Whether the page says how many there are in all; else its total is 0.
    public var countsTotal = true

    public init(limit: Int = 50, offset: Int = 0) {
        self.limit = limit
        self.offset = offset
    }
}

/// In which order messages are given.
public enum MessageOrder: Sendable, Equatable {
    case oldestFirst
    case newestFirst

    var sql: String { self == .oldestFirst ? "ASC" : "DESC" }
}
