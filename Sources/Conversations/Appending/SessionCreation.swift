import NIOCore
import Persistence

/// Makes sessions that do not exist yet, inside one transaction for all that are asked for at once.
enum SessionCreation {
    /// What became of a draft.
    enum Outcome: Sendable {
        case done(FoundSession)
        /// The user has as many sessions as the draft allows.
        case tooMany(limit: Int)
    }

    static func findOrCreate(
        _ wishes: [SessionWish], _ connection: any Connection, at expiry: Expiry
    ) throws -> [Outcome] {
        let drafts = wishes.map(\.draft)
        let tried = wishes.count { !$0.trial.begin() }
        if tried == 0, let outcomes = try createAll(drafts, connection, at: expiry.time) { return outcomes }
        return try findOrCreate(drafts, connection, at: expiry)
    }

    /// Makes all of them in one trip to the server. Where one exists already nothing is made, and the transaction is done
    /// again: the second attempt makes or finds each by itself.
    ///
    /// - Returns: Nil where more has to be asked, or where asking is cheap.
    private static func createAll(
        _ drafts: [SessionDraft], _ connection: any Connection, at time: Timestamp
    ) throws -> [Outcome]? {
        guard connection.dialect == .mariadb, drafts.allSatisfy({ $0.maximumSessions == nil && $0.system == nil })
        else { return nil }
        do {
            let rows = drafts.flatMap { SessionRow.values($0, at: time) }
            try connection.execute(
                [BulkWrite(ConversationSQL.insertSessions, rows: rows)] + additions(of: drafts, connection.dialect))
        } catch let error as DatabaseError where error.failure == .data {
            throw DatabaseError(.retryTransaction, error.reason, code: error.code)
        }
        return drafts.map { .done(.created(Session($0, at: time))) }
    }

    static func findOrCreate(
        _ drafts: [SessionDraft], _ connection: any Connection, at expiry: Expiry
    ) throws -> [Outcome] {
        var sums: SessionSums.Changes = []
        var made: [SessionDraft] = []
        let outcomes = try drafts.map { draft in
            if draft.maximumSessions == nil, let session = try create(draft, connection, at: expiry.time) {
                made.append(draft)
                return Outcome.done(.created(session))
            }
            // Who has a limit is counted with all before.
            try count(made, connection)
            made = []
            return try findOrCreate(draft, connection, at: expiry, &sums)
        }
        try count(made, connection)
        try SessionSums.add(sums, connection)
        return outcomes
    }

    /// Makes a session without looking first, because hardly any draft names one that exists.
    ///
    /// - Returns: Nil where it exists, or another one has its name.
    private static func create(
        _ draft: SessionDraft, _ connection: any Connection, at time: Timestamp
    ) throws -> Session? {
        let inserted = try connection.execute(ConversationSQL.insert(draft, at: time, connection.dialect))
        guard inserted == 1 else { return nil }
        if let system = draft.system {
            try connection.execute(ConversationSQL.setSystem(draft.key, system, connection.dialect))
        }
        return Session(draft, at: time)
    }

    private static func count(_ drafts: [SessionDraft], _ connection: any Connection) throws {
        guard !drafts.isEmpty else { return }
        try connection.execute(additions(of: drafts, connection.dialect))
    }

    /// What counts new sessions.
    private static func additions(of drafts: [SessionDraft], _ dialect: Dialect) -> [BulkWrite] {
        var (totals, channels): ([SQLValue], [SQLValue]) = ([], [])
        for draft in drafts.sorted(by: { $0.key < $1.key }) {
            let isGroup = draft.conversation?.isGroup ?? false
            totals += ConversationSQL.addition(1, to: draft.key.owner, isGroup: isGroup)
            channels += ChannelTotals.addition(1, draft.settings.sourceChannel, of: draft.key.owner)
        }
        return [
            BulkWrite(ConversationSQL.addTotals(dialect), rows: totals),
            BulkWrite(ChannelTotals.addition(dialect), rows: channels),
        ]
    }

    private static func findOrCreate(
        _ draft: SessionDraft, _ connection: any Connection, at expiry: Expiry, _ sums: inout SessionSums.Changes
    ) throws -> Outcome {
        if let session = try findUnexpired(draft, connection, at: expiry, &sums) {
            return .done(FoundSession(session, for: draft))
        }
        if let limit = draft.maximumSessions, try isFull(draft.key.owner, limit, connection, at: expiry, &sums) {
            return .tooMany(limit: limit)
        }
        if let session = try create(draft, connection, at: expiry.time) {
            try count([draft], connection)
            return .done(.created(session))
        }
        let made = try connection.first(ConversationSQL.session(draft.key), SessionRow.session)
        guard let session = try made ?? find(draft, connection) else {
            throw DatabaseError(.retryTransaction, "a session was made and deleted meanwhile")
        }
        return .done(FoundSession(session, for: draft))
    }

    /// An expired session gives its names free before a new one takes them.
    private static func findUnexpired(
        _ draft: SessionDraft, _ connection: any Connection, at expiry: Expiry, _ sums: inout SessionSums.Changes
    ) throws -> Session? {
        while let session = try find(draft, connection) {
            guard expiry.hasEnded(session) else { return session }
            _ = try SessionRemoval.delete([session.key], connection, at: expiry.time, &sums)
        }
        return nil
    }

    /// Under the lock of the user's counter, so that callers who come at once do not pass together.
    ///
    /// - Parameter sums: Gets what the expiry of sessions changes, for the end of the transaction.
    static func isFull(
        _ owner: UniqueID, _ limit: Int, _ connection: any Connection, at expiry: Expiry,
        _ sums: inout SessionSums.Changes
    ) throws -> Bool {
        // A row that is not there cannot be locked.
        try connection.execute(ConversationSQL.count(0, of: owner, isGroup: false, connection.dialect))
        let count = ConversationSQL.lockTotal(of: owner, connection.dialect)
        guard try connection.first(count, { try $0.value(0, as: Int.self) }) ?? 0 >= limit else { return false }
        _ = try SessionRemoval.expireSome(of: owner, connection, at: expiry, &sums)
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

extension Session {
    /// A session as it has just been made.
    fileprivate init(_ draft: SessionDraft, at time: Timestamp) {
        self.init(
            key: draft.key, externalID: draft.externalID,
            conversation: draft.conversation.flatMap { $0.isEmpty ? nil : $0 }, settings: draft.settings,
            systemDigest: draft.system?.digest, nextSeq: 1, contextStartSeq: 0, version: 1, lastTurn: nil,
            counters: SessionCounters(), createdAt: time, updatedAt: time, lastMessageAt: time,
            expiresAt: draft.settings.expiry(after: time))
    }
}

extension FoundSession {
    /// A session with the draft's own key was made for it, perhaps by an attempt whose commit got no answer.
    init(_ session: Session, for draft: SessionDraft) {
        self = session.key == draft.key ? .created(session) : .found(session)
    }
}

/// A session on its way to the database.
struct SessionWish: LaneItem {
    let draft: SessionDraft
    let trial = FirstTrial()

    /// By the name that callers may race for, so that they meet in one transaction; on another shard they meet in the
    /// database's unique index.
    var shardKey: UInt64 {
        guard let name = draft.externalID ?? draft.conversation?.externalID else { return draft.key.session.shardKey }
        return name.utf8.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    }

    var byteCount: Int { 500 + (draft.settings.metadata?.readableBytes ?? 0) }
}
