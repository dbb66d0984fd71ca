import NIOCore
public import Persistence

/// Makes sessions that do not exist yet, inside one transaction for all that are asked for at once.
enum SessionCreation {
    /// What became of a draft.
    enum Outcome: Sendable {
        case done(FoundSession)
        /// The user has as many sessions as the draft allows.
        case tooMany(limit: Int)
    }

    static func findOrCreate(
        _ drafts: [SessionDraft], _ connection: any Connection, at time: Timestamp
    ) throws -> [Outcome] {
        var sums: SessionSums.Changes = []
        let outcomes = try drafts.map { try findOrCreate($0, connection, at: time, &sums) }
        try SessionSums.add(sums, connection)
        return outcomes
    }

    private static func findOrCreate(
        _ draft: SessionDraft, _ connection: any Connection, at time: Timestamp, _ sums: inout SessionSums.Changes
    ) throws -> Outcome {
        if let session = try findUnexpired(draft, connection, at: time, &sums) {
            return .done(FoundSession(session, for: draft))
        }
        if let limit = draft.maximumSessions, try isFull(draft.key.owner, limit, connection, at: time, &sums) {
            return .tooMany(limit: limit)
        }
        let inserted = try connection.execute(ConversationSQL.insert(draft, at: time, connection.dialect))
        if inserted == 1 {
            let isGroup = draft.conversation?.isGroup ?? false
            try connection.execute(ConversationSQL.count(1, of: draft.key.owner, isGroup: isGroup, connection.dialect))
            try ChannelTotals.add(1, draft.settings.sourceChannel, of: draft.key.owner, connection)
            if let system = draft.system {
                try connection.execute(ConversationSQL.setSystem(draft.key, system, connection.dialect))
            }
        }
        let made = try connection.first(ConversationSQL.session(draft.key), SessionRow.session)
        guard let session = try made ?? find(draft, connection) else {
            throw DatabaseError(.retryTransaction, "a session was made and deleted meanwhile")
        }
        return .done(FoundSession(session, for: draft))
    }

    /// An expired session gives its names free before a new one takes them.
    private static func findUnexpired(
        _ draft: SessionDraft, _ connection: any Connection, at time: Timestamp, _ sums: inout SessionSums.Changes
    ) throws -> Session? {
        while let session = try find(draft, connection) {
            guard session.isExpired(at: time) else { return session }
            _ = try SessionRemoval.delete([session.key], connection, at: time, &sums)
        }
        return nil
    }

    /// Under the lock of the user's counter, so that callers who come at once do not pass together.
    ///
    /// - Parameter sums: Gets what the expiry of sessions changes, for the end of the transaction.
    static func isFull(
        _ owner: UniqueID, _ limit: Int, _ connection: any Connection, at time: Timestamp,
        _ sums: inout SessionSums.Changes
    ) throws -> Bool {
        // A row that is not there cannot be locked.
        try connection.execute(ConversationSQL.count(0, of: owner, isGroup: false, connection.dialect))
        let count = ConversationSQL.lockTotal(of: owner, connection.dialect)
        guard try connection.first(count, { try $0.value(0, as: Int.self) }) ?? 0 >= limit else { return false }
        _ = try SessionRemoval.expireSome(of: owner, connection, at: time, &sums)
        return try connection.first(count) { try $0.value(0, as: Int.self) } ?? 0 >= limit
    }

    /// The session that a draft's external ids name.
    static func find(_ draft: SessionDraft, _ connection: any Connection) throws -> Session? {
        let owner = draft.key.owner
        if let externalID = draft.externalID {
            let query = ConversationSQL.session(owner: owner, externalID: externalID)
            if let session = try connection.first(query, SessionRow.session) { return session }
        }
        guard let conversation = draft.conversation, let name = conversation.externalID else { return nil }
        return try connection.first(
            ConversationSQL.session(owner: owner, agentID: conversation.agentID, conversation: name),
            SessionRow.session)
    }
}

extension FoundSession {
    /// A session with the draft's own key was made for it, perhaps by an attempt whose commit got no answer.
    init(_ session: Session, for draft: SessionDraft) {
        self = session.key == draft.key ? .created(session) : .found(session)
    }
}

extension SessionDraft: LaneItem {
    /// By the name that callers may race for, so that they meet in one transaction; on another shard they meet in the
    /// database's unique index.
    public var shardKey: UInt64 {
        guard let name = externalID ?? conversation?.externalID else { return key.session.shardKey }
        return name.utf8.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    }

    public var byteCount: Int { 500 + (settings.metadata?.readableBytes ?? 0) }
}
