public import Persistence

/// A part of a conversation that was left: the messages that one turn took the place of. They are all still there.
///
/// What stood before that turn can be restored as a whole: the branch with everything that preceded it.
public struct Branch: Sendable, Equatable {
    /// Names it within its session: the seq of the first message of the turn that took its place.
    public var id: Int64
    /// The last message before it; nil where it begins the conversation.
    public var forkSeq: Int64?
    public var firstSeq: Int64
    public var lastSeq: Int64
    public var messageCount: Int
    /// When its newest message was stored.
    public var lastMessageAt: Timestamp
    /// When it was left.
    public var leftAt: Timestamp?
}

/// What became of the wish to restore a branch.
public enum RestoreOutcome: Sendable, Equatable {
    /// Done: the session as it is now.
    case restored(Session)
    case noSuchSession
    case noSuchBranch
}

extension ConversationReader {
    /// The branches of a session that were left, the one that was left last first.
    public func branches(of key: SessionKey, limit: Int, offset: Int = 0) throws -> Page<Branch> {
        let list = ConversationSQL.branches(key, limit: max(0, limit), offset: max(0, offset))
        let branches = try connection.rows(list) { row in
            Branch(
                id: try row.value(0), firstSeq: try row.value(1), lastSeq: try row.value(2),
                messageCount: Int(try row.value(3, as: Int64.self)), lastMessageAt: try row.value(4))
        }
        let elements = try branches.map { branch in
            var branch = branch
            branch.forkSeq = try connection.first(ConversationSQL.fork(of: branch, key)) { try $0.optional(0) } ?? nil
            branch.leftAt = try connection.first(ConversationSQL.createdAt(branch.id, key)) { try $0.value(0) }
            return branch
        }
        let total = try connection.first(ConversationSQL.branchCount(key)) { try $0.value(0, as: Int64.self) }
        return Page(elements: elements, total: Int(total ?? 0))
    }

    /// The messages of a branch alone, oldest first, without what precedes it; nil if there is no such branch.
    public func messages(
        ofBranch id: Int64, _ key: SessionKey, limit: Int, offset: Int = 0
    ) throws -> [StoredMessage]? {
        guard try connection.first(ConversationSQL.seqs(ofBranch: id, key, limit: 1), { _ in }) != nil else {
            return nil
        }
        let page = ConversationSQL.seqs(ofBranch: id, key, limit: max(0, limit), offset: max(0, offset))
        return try messages(of: key, seqs: connection.rows(page) { try $0.value(0, as: Int64.self) })
    }
}
