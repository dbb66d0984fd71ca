public import Persistence

/// A session that was made elsewhere, with everything that belongs to it.
public struct SessionImport: Sendable {
    public var draft: SessionDraft
    /// For the draft's key, on an empty session; they may be none.
    public var turns: [TurnDraft] = []
    /// What its user thinks of it. The seq of a message is its number among those of `turns`, from 1.
    public var feedback: [Feedback] = []

    public init(_ draft: SessionDraft) { self.draft = draft }

    /// Throws `ConversationError.invalid` for what could not be stored, whatever the database says.
    public func validate() throws {
        try draft.validate()
        for turn in turns { try turn.validate() }
        for feedback in feedback { try feedback.validate() }
    }
}

extension ConversationStore {
    /// Makes a session with turns that were said elsewhere, in one transaction: all of it, or nothing.
    ///
    /// - Returns: The session. Of the names that the draft has it got those that no other session of its user has.
    public func create(_ whole: SessionImport, within limits: MessageLimits = MessageLimits()) async throws -> Session {
        try whole.validate()
        let bytes = whole.turns.reduce(0) { $0 + $1.byteCount }
        return try await write(bytes: bytes) { [now, moment, holds] connection in
            let session = try Self.make(whole.draft, connection, at: moment())
            if !whole.turns.isEmpty {
                _ = try TurnBatch.append(whole.turns, connection, at: now(), within: (limits, beside: holds))
            }
            for feedback in whole.feedback {
                try connection.execute(ConversationSQL.setFeedback(feedback, on: session.key, connection.dialect))
            }
            return try connection.first(ConversationSQL.session(session.key), SessionRow.session) ?? session
        }
    }

    /// Makes the session without the names that others have, also if those are made at the same time.
    private static func make(
        _ draft: SessionDraft, _ connection: any Connection, at expiry: Expiry
    ) throws -> Session {
        var draft = draft
        // It has two names: its own id, and its conversation with an agent.
        for _ in 0...2 {
            switch try SessionCreation.findOrCreate([draft], connection, at: expiry).first {
            case .done(.created(let created)): return created
            case .tooMany(let limit): throw ConversationError.tooManySessions(limit: limit)
            case .done(.found(let other)): draft.giveUpName(of: other)
            case nil: throw ConversationError.alreadyExists
            }
        }
        throw ConversationError.alreadyExists
    }

    /// Refuses what would be too much for a user, before any of it is stored. What has expired does not count; what
    /// exchanges under way are going to store does.
    public func check(
        _ owner: UniqueID, adding sessions: Int, maximum: Int?, messages: Int, within limits: MessageLimits
    ) async throws {
        try await expire(owner)
        // Held first: what is stored meanwhile is counted twice rather than not at all.
        let held = holds.held(of: owner)
        let (active, stored) = try await read { reader in
            (try reader.activeSessions(of: owner), try reader.storedMessages(of: owner))
        }
        if let maximum, active + sessions > maximum { throw ConversationError.tooManySessions(limit: maximum) }
        try limits.check(user: Int(stored) + held, adding: messages)
    }
}

extension SessionDraft {
    /// Gives up the name by which `other` was found.
    fileprivate mutating func giveUpName(of other: Session) {
        if let id = externalID, other.externalID.map(ExactText.init) == ExactText(id) {
            externalID = nil
        } else {
            conversation?.externalID = nil
        }
    }
}
