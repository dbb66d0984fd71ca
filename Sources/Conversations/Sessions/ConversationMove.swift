import Persistence

/// A session that becomes another conversation of an agent, or a group, inside the transaction that changes it.
struct ConversationMove {
    let key: SessionKey
    let old: AgentConversation
    let new: AgentConversation

    /// Nil where nothing changes.
    init?(of session: Session, _ change: (inout AgentConversation) throws -> Void) throws {
        let old = session.conversation ?? AgentConversation(agentID: "", externalID: nil)
        var new = old
        try change(&new)
        guard old.texts != new.texts || old.isGroup != new.isGroup else { return nil }
        try new.validate()
        (key, self.old, self.new) = (session.key, old, new)
    }

    /// Refuses a name that another session has. One that has expired gives it free.
    ///
    /// - Parameter sums: Gets what changes of the sums, for the end of the transaction.
    func prepare(_ connection: any Connection, at expiry: Expiry, _ sums: inout SessionSums.Changes) throws {
        guard let other = try holder(connection) else { return }
        guard expiry.hasEnded(other) else { throw ConversationError.conversationTaken }
        _ = try SessionRemoval.delete([other.key], connection, at: expiry.time, &sums)
    }

    /// The other session that has the name.
    private func holder(_ connection: any Connection) throws -> Session? {
        guard let name = new.externalID else { return nil }
        let query = ConversationSQL.session(owner: key.owner, agentID: new.agentID, conversation: name)
        return try connection.first(query, SessionRow.session).flatMap { $0.key == key ? nil : $0 }
    }

    /// Runs the statement that writes the name. One that was taken since it was looked up is refused by the unique index:
    /// then it is there to be found, unless it is free again.
    static func blamingName(
        of move: ConversationMove?, _ connection: any Connection, _ write: () throws -> Void
    ) throws {
        do { try write() } catch let error as DatabaseError where error.failure == .data {
            guard let move, move.new.externalID != nil else { throw error }
            if try move.holder(connection) != nil { throw ConversationError.conversationTaken }
            throw DatabaseError(.retryTransaction, "the name of a conversation was taken for a moment")
        }
    }

    /// Counts it among the groups, or no longer.
    func count(_ connection: any Connection) throws {
        guard new.isGroup != old.isGroup else { return }
        try connection.execute(ConversationSQL.countGroup(new.isGroup ? 1 : -1, of: key.owner))
    }
}

extension AgentConversation {
    /// What is compared byte by byte, as the database does.
    fileprivate var texts: [ExactText?] {
        [agentID, externalID, groupName, participantID, peerAgentID].map { $0.map(ExactText.init) }
    }
}
