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
    /// - Parameters:
    ///   - additions: Locked sessions, and how many messages each will get.
    ///   - holds: What exchanges under way are going to store, which counts too; what they store just now, twice.
    func check(
        _ additions: [(session: Session, count: Int)], beside holds: MessageHolds, _ connection: any Connection
    ) throws {
        for (session, count) in additions {
            try check(session: Int(session.nextSeq) - 1 + holds.held(of: session.key).session, adding: count)
        }
        guard perUser != nil, let key = additions.first?.session.key else { return }
        try connection.execute(ConversationSQL.count(0, of: key.owner, isGroup: false, connection.dialect))
        let stored = try SessionSums.lockStored(of: key.owner, connection)
        let held = holds.held(of: key).user
        try check(user: Int(stored) + held, adding: additions.reduce(0) { $0 + $1.count })
    }
}
