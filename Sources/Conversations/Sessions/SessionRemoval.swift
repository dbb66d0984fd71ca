package import Persistence

/// Takes sessions away, inside a transaction: in name only, or with all their rows.
package enum SessionRemoval {
    /// Every table that has rows of a session; the session's own row last.
    package static let tables = ["session_feedback", "messages", "turns", "session_systems", "sessions"]

    /// What belongs to a user beside the sessions, and what may have been left behind.
    static let tablesOfUsers = ["blob_uses", "blobs", "session_totals"]

    /// Most sessions that one transaction takes away.
    static let batch = 64

    static func delete(_ key: SessionKey, _ connection: any Connection, at time: Timestamp) throws -> DeletionOutcome {
        guard let row = try lock(key, connection), row.isActive else { return .notFound }
        try connection.execute(ConversationSQL.delete(key, at: time))
        try connection.execute(ConversationSQL.count(-1, of: key.owner, isGroup: row.isGroup, connection.dialect))
        return .deleted
    }

    package static func purge(_ key: SessionKey, _ connection: any Connection) throws -> DeletionOutcome {
        guard let row = try lock(key, connection) else { return .notFound }
        try BlobStore(connection).release(key)
        for table in tables { try connection.execute(ConversationSQL.purge(table, key)) }
        if row.isActive {
            try connection.execute(ConversationSQL.count(-1, of: key.owner, isGroup: row.isGroup, connection.dialect))
        }
        return .deleted
    }

    /// Makes a deleted session active again. Its names are its own again where nothing else has taken them.
    static func restore(_ key: SessionKey, _ connection: any Connection, at time: Timestamp) throws -> Session? {
        guard let row = try lock(key, connection), !row.isActive else { return nil }
        var names = row.names
        if let id = names.externalID,
            try connection.first(ConversationSQL.session(owner: key.owner, externalID: id), { _ in true }) != nil
        {
            names.externalID = nil
        }
        if let conversation = names.conversation,
            try connection.first(
                ConversationSQL.session(owner: key.owner, agentID: names.agentID, conversation: conversation),
                { _ in true }) != nil
        {
            names.conversation = nil
        }
        try connection.execute(ConversationSQL.restore(key, names, at: time))
        try connection.execute(ConversationSQL.count(1, of: key.owner, isGroup: row.isGroup, connection.dialect))
        return try connection.first(ConversationSQL.session(key), SessionRow.session)
    }

    /// Deletes what has expired of a user, so that counters and lists are right.
    static func expire(_ owner: UniqueID, _ connection: any Connection, at time: Timestamp) throws {
        while true {
            let expired = try connection.rows(ConversationSQL.expired(of: owner, at: time, limit: batch)) {
                try $0.value(0, as: UniqueID.self)
            }
            for id in expired { _ = try delete(SessionKey(owner: owner, session: id), connection, at: time) }
            if expired.count < batch { return }
        }
    }

    private struct Removable {
        var isActive: Bool
        var isGroup: Bool
        var names: FormerNames
    }

    private static func lock(_ key: SessionKey, _ connection: any Connection) throws -> Removable? {
        try connection.first(ConversationSQL.lockForRemoval(key, connection.dialect)) { row in
            Removable(
                isActive: try row.value(0), isGroup: try row.value(1),
                names: FormerNames(
                    externalID: try row.optional(2), agentID: try row.value(3), conversation: try row.optional(4)))
        }
    }
}
