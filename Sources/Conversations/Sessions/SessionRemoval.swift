import Persistence

/// Takes sessions away, inside a transaction: in name only, or with all their rows.
///
/// A session that is to lose its rows is condemned first: from then on nothing finds it or brings it back, and its rows
/// go in pieces, each in a transaction of its own.
package enum SessionRemoval {
    /// Every table that has rows of a session; the session's own row last.
    package static let tables = ["session_feedback", "messages", "turns", "session_systems", "sessions"]
    /// Those whose rows are as many as the messages, and the column that tells the rows of a session apart.
    private static let longTables = [("session_feedback", "seq"), ("messages", "seq"), ("turns", "turn_id")]

    /// What belongs to a user beside the sessions, and what may have been left behind.
    static let tablesOfUsers = ["blob_uses", "blobs", "session_totals", "session_sums", "channel_totals"]

    /// What a session is to its user.
    enum State { case active, deleted, condemned }

    /// Most sessions that one transaction deletes or condemns.
    static let batch = 64
    /// Most rows of a table that one piece removes.
    static let piece = 500
    /// Most media that one piece removes: a few of them are as much work as many rows.
    private static let blobsOfPiece = 64
    /// The `deleted_us` of a session whose rows are going.
    static let condemned = Timestamp(microseconds: 0)

    static func delete(_ key: SessionKey, _ connection: any Connection, at time: Timestamp) throws -> DeletionOutcome {
        var sums: SessionSums.Changes = []
        let count = try delete([key], connection, at: time, &sums)
        try SessionSums.add(sums, connection)
        return count > 0 ? .deleted : .notFound
    }

    /// Deletes those sessions that are active.
    ///
    /// - Parameter sums: Gets what changes of the sums, for the end of the transaction.
    /// - Returns: How many.
    static func delete(
        _ keys: [SessionKey], _ connection: any Connection, at time: Timestamp, _ sums: inout SessionSums.Changes
    ) throws -> Int {
        let rows = try lock(keys, connection).filter(\.isActive)
        for row in rows { try connection.execute(ConversationSQL.delete(row.key, at: time)) }
        for row in rows { try row.count(-1, connection) }
        sums += rows.map { ($0.key, $0.sumsWhenDeleted - $0.sumsWhenActive) }
        return rows.count
    }

    /// Takes a session away for good: what is left of it are rows that nobody reads.
    static func condemn(_ key: SessionKey, _ connection: any Connection) throws -> DeletionOutcome {
        let rows = try lock([key], connection)
        try condemn(rows, connection)
        return rows.isEmpty ? .notFound : .deleted
    }

    /// As the last thing in its transaction.
    private static func condemn(_ rows: [Removable], _ connection: any Connection) throws {
        let rows = rows.filter { !$0.isCondemned }
        for row in rows { try connection.execute(ConversationSQL.condemn(row.key)) }
        for row in rows where row.isActive { try row.count(-1, connection) }
        let sums = rows.map { ($0.key, SessionSums() - ($0.isActive ? $0.sumsWhenActive : $0.sumsWhenDeleted)) }
        try SessionSums.add(sums, connection)
    }

    /// Makes a deleted session active again. Its names are its own again where nothing else has taken them.
    ///
    /// - Parameter sums: Gets what changes of the sums, for the end of the transaction.
    static func restore(
        _ key: SessionKey, _ connection: any Connection, at time: Timestamp, _ sums: inout SessionSums.Changes
    ) throws -> Session? {
        guard let row = try lock([key], connection).first, !row.isActive, !row.isCondemned else { return nil }
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
        try row.count(1, connection)
        sums.append((key, row.sumsWhenActive - row.sumsWhenDeleted))
        return try connection.first(ConversationSQL.session(key), SessionRow.session)
    }

    /// Deletes some of what has expired of a user, so that counters and lists are right.
    ///
    /// - Parameter sums: Gets what changes of the sums, for the end of the transaction.
    static func expireSome(
        of owner: UniqueID, _ connection: any Connection, at expiry: Expiry, _ sums: inout SessionSums.Changes
    ) throws -> Progress {
        let found = try connection.rows(ConversationSQL.expired(of: owner, at: expiry.time, limit: batch)) {
            SessionKey(owner: owner, session: try $0.value(0))
        }
        let ended = expiry.ended(found)
        _ = try delete(ended, connection, at: expiry.time, &sums)
        // Where turns of all of them wait, the rest has to wait too.
        return found.count < batch || ended.isEmpty ? .done : .more
    }

    /// Condemns some sessions of a user, deleted or not.
    ///
    /// - Returns: Which; none when none is left.
    static func condemnSome(of owner: UniqueID, _ connection: any Connection) throws -> [SessionKey] {
        for state in [State.active, .deleted] {
            let keys = try some(of: owner, state, connection)
            try condemn(lock(keys, connection), connection)
            if !keys.isEmpty { return keys }
        }
        return []
    }

    private static func some(of owner: UniqueID, _ state: State, _ connection: any Connection) throws -> [SessionKey] {
        try connection.rows(ConversationSQL.some(of: owner, state, limit: batch)) {
            SessionKey(owner: owner, session: try $0.value(0))
        }
    }
}

// MARK: - Rows

extension SessionRemoval {
    /// Whether there is more to do.
    package enum Progress: Sendable, Equatable { case more, done }

    /// Removes some rows of a user's condemned sessions.
    ///
    /// - Returns: `done` when there is no condemned session.
    static func removeSome(of owner: UniqueID, _ connection: any Connection) throws -> Progress {
        let keys = try some(of: owner, .condemned, connection)
        _ = try removePieces(of: keys, connection)
        return keys.isEmpty ? .done : .more
    }

    /// Removes what a user has beside sessions: counters, and media that nothing uses any more.
    ///
    /// - Returns: False, and nothing is removed, if there are sessions of the user again.
    static func forget(_ owner: UniqueID, _ connection: any Connection) throws -> Bool {
        // Who makes a session counts it: under the lock of the counter none is made. A row that is not there cannot be
        // locked.
        try connection.execute(ConversationSQL.count(0, of: owner, isGroup: false, connection.dialect))
        _ = try connection.first(ConversationSQL.lockTotal(of: owner, connection.dialect)) { _ in true }
        guard try connection.first(ConversationSQL.anySession(of: owner), { _ in true }) == nil else { return false }
        for table in tablesOfUsers { try connection.execute(ConversationSQL.forget(owner, in: table)) }
        return true
    }

    /// Removes rows of condemned sessions, and the sessions themselves behind their last rows, until about `piece` rows
    /// are gone.
    ///
    /// - Returns: `done` when nothing is left of those that are condemned.
    static func removePieces(of keys: [SessionKey], _ connection: any Connection) throws -> Progress {
        var removed = 0
        for row in try lock(keys, connection) where row.isCondemned {
            while removed < piece, try removePiece(of: row.key, &removed, connection) == .more {}
            if removed >= piece { return .more }
        }
        return .done
    }

    /// Removes a piece of a session that was deleted long enough ago. The first one condemns it, so that nobody brings
    /// back a part of it.
    ///
    /// - Parameter isOver: Whether a session that was deleted at this time is to go.
    /// - Returns: `done` when nothing is left of it, and for a session that is not to go.
    static func removePiece(
        of key: SessionKey, where isOver: (Timestamp) -> Bool, _ connection: any Connection
    ) throws -> Progress {
        guard let row = try lock([key], connection).first, let deleted = row.deletedAt, isOver(deleted) else {
            return .done
        }
        var removed = 0
        let progress = try removePiece(of: key, &removed, connection)
        try condemn([row], connection)
        return progress
    }

    private static func removePiece(
        of key: SessionKey, _ removed: inout Int, _ connection: any Connection
    ) throws -> Progress {
        for (table, column) in longTables {
            let count = try removePiece(of: table, by: column, key, connection)
            removed += count
            if count > 0 { return .more }
        }
        let blobs = try BlobStore(connection).releaseSome(of: key, limit: blobsOfPiece)
        removed += blobs * (piece / blobsOfPiece + 1)
        if blobs > 0 { return .more }
        for table in tables { removed += try connection.execute(ConversationSQL.purge(table, key)) }
        return .done
    }

    /// SQLite has no `DELETE … LIMIT`, so the end of the piece is looked up first.
    ///
    /// - Returns: How many rows are gone; 0 where the table has no more than a piece.
    private static func removePiece(
        of table: String, by column: String, _ key: SessionKey, _ connection: any Connection
    ) throws -> Int {
        let end = ConversationSQL.endOfPiece(of: table, by: column, key)
        guard let next = try connection.first(end, { row in try row.boundValue(0) }) else { return 0 }
        return try connection.execute(ConversationSQL.purge(table, key) + " AND \(raw: column) < \(next)")
    }

    private struct Removable {
        var key: SessionKey
        var deletedAt: Timestamp?
        var isGroup: Bool
        var names: FormerNames
        var channel: String?
        var stored: Int64
        var counters = SessionCounters()

        var isActive: Bool { deletedAt == nil }
        var isCondemned: Bool { deletedAt == SessionRemoval.condemned }
        var sumsWhenActive: SessionSums { SessionSums(counters, stored: stored) }
        var sumsWhenDeleted: SessionSums { SessionSums(deletedWith: stored) }

        init(_ key: SessionKey, _ row: borrowing Row) throws {
            self.key = key
            deletedAt = try row.optional(0)
            isGroup = try row.value(1)
            names = FormerNames(
                externalID: try row.optional(2), agentID: try row.value(3), conversation: try row.optional(4))
            channel = try row.optional(5)
            stored = max(1, try Self.count(row, 6)) - 1
            counters.messages = try Self.count(row, 7)
            counters.turns = try Self.count(row, 8)
            counters.promptTokens = try Self.count(row, 9)
            counters.completionTokens = try Self.count(row, 10)
        }

        /// What nobody could have counted is cut: a session that cannot be read can be removed all the same, and what that
        /// leaves in its user's sums is set right by counting anew.
        private static func count(_ row: borrowing Row, _ column: Int) throws -> Int64 {
            min(max(0, try row.value(column)), SessionRow.counts.upperBound)
        }

        /// Counts the session among the active ones, or no longer.
        func count(_ change: Int, _ connection: any Connection) throws {
            try connection.execute(ConversationSQL.count(change, of: key.owner, isGroup: isGroup, connection.dialect))
            try ChannelTotals.add(change, channel, of: key.owner, connection)
        }
    }

    /// Locks the rows of those sessions that exist, in the order in which turns lock them.
    private static func lock(_ keys: [SessionKey], _ connection: any Connection) throws -> [Removable] {
        try keys.sorted().compactMap { key in
            try connection.first(ConversationSQL.lockForRemoval(key, connection.dialect)) { try Removable(key, $0) }
        }
    }
}

extension Row {
    /// A column as it would be bound again.
    fileprivate borrowing func boundValue(_ column: Int) throws -> SQLValue {
        try kind(column) == .integer ? .integer(integer(column)) : .id(value(column))
    }
}
