import NIOCore
public import Persistence

/// Makes sessions that do not exist yet, inside one transaction for all that are asked for at once.
enum SessionCreation {
    static func findOrCreate(
        _ drafts: [SessionDraft], _ connection: any Connection, at time: Timestamp
    ) throws -> [FoundSession] {
        try drafts.map { draft in
            if let session = try find(draft, connection) { return FoundSession(session, for: draft) }
            let inserted = try connection.execute(ConversationSQL.insert(draft, at: time, connection.dialect))
            if inserted == 1 {
                try connection.execute(ConversationSQL.count(1, of: draft.key.owner, connection.dialect))
            }
            let made = try connection.first(ConversationSQL.session(draft.key), SessionRow.session)
            guard let session = try made ?? find(draft, connection) else {
                throw DatabaseError(.retryTransaction, "a session was made and deleted meanwhile")
            }
            return FoundSession(session, for: draft)
        }
    }

    /// The session that a draft's external ids name.
    static func find(_ draft: SessionDraft, _ connection: any Connection) throws -> Session? {
        let owner = draft.key.owner
        if let externalID = draft.externalID {
            let query = ConversationSQL.session(owner: owner, externalID: externalID)
            if let session = try connection.first(query, SessionRow.session) { return session }
        }
        guard let conversation = draft.conversation else { return nil }
        return try connection.first(
            ConversationSQL.session(owner: owner, agentID: conversation.agentID, conversation: conversation.externalID),
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
