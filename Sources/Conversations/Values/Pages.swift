/// Which sessions a list shows.
public struct SessionFilter: Sendable, Equatable {
    public var agentID: String?
    public var sourceChannel: String?

    public init(agentID: String? = nil, sourceChannel: String? = nil) {
        self.agentID = agentID
        self.sourceChannel = sourceChannel
    }

    var isEmpty: Bool { agentID == nil && sourceChannel == nil }
}

/// A part of a list.
public struct Page<Element: Sendable>: Sendable {
    public var elements: [Element]
    /// How many the whole list has.
    public var total: Int
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
