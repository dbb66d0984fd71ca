import Persistence

/// How many messages may be stored; nil: any number.
public struct MessageLimits: Sendable, Equatable {
    /// In one session, superseded ones too.
    public var perSession: Int?
    /// In all sessions of a user, superseded ones and those of deleted sessions too.
    public var perUser: Int?

    public init(perSession: Int? = nil, perUser: Int? = nil) {
        self.perSession = perSession
        self.perUser = perUser
    }

    /// Whether there is none.
    package var isNone: Bool { self == MessageLimits() }

    /// Refuses what would be too much in one session.
    func check(session stored: Int, adding count: Int) throws(ConversationError) {
        guard let perSession, stored + count > perSession else { return }
        throw .tooManyMessages(limit: perSession, of: .session)
    }

    /// Refuses what would be too much for one user.
    func check(user stored: Int, adding count: Int) throws(ConversationError) {
        guard let perUser, stored + count > perUser else { return }
        throw .tooManyMessages(limit: perUser, of: .user)
    }

    /// Refuses turns of one user's sessions that are to be stored, inside their transaction: whoever comes at the same
    /// time waits, and counts these.
    ///
    /// - Parameter additions: Locked sessions, and how many messages each will get.
    func check(_ additions: [(session: Session, count: Int)], _ connection: any Connection) throws {
        for (session, count) in additions { try check(session: Int(session.nextSeq) - 1, adding: count) }
        guard perUser != nil, let owner = additions.first?.session.key.owner else { return }
        try connection.execute(ConversationSQL.count(0, of: owner, isGroup: false, connection.dialect))
        let stored = try SessionSums.lockStored(of: owner, connection)
        try check(user: Int(stored), adding: additions.reduce(0) { $0 + $1.count })
    }
}
