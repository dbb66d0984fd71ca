public import Persistence
import Synchronization

/// Removes what nobody wants kept: sessions that were deleted a while ago, and sessions that have expired.
///
/// A round walks through all sessions by primary key, in slices, so it needs no index that every turn would have to
/// move. A session that is removed goes in pieces of some hundred messages: a long one never holds the database up.
/// What is expired is deleted first, as its user would have done, and removed when `purgeAfter` has passed.
public struct SessionPurge: Sendable {
    /// What is kept, and for how long.
    public struct Limits: Sendable, Equatable {
        /// From a session's deletion to the removal of its rows.
        public var purgeAfter: Duration = .seconds(30 * 86_400)
        /// From a session's last message to its deletion; nil: it never expires.
        public var timeToLive: Duration?

        public init() {}

        /// Whether the rows of a session are to go that was deleted at this time.
        func isOver(_ deleted: Timestamp, at now: Timestamp) -> Bool {
            // A condemned one is not from 1970, however long is waited for others.
            deleted == SessionRemoval.condemned || deleted <= now.advanced(by: .zero - purgeAfter)
        }
    }

    /// Rows that one step reads.
    static let slice = 500
    /// The chore's place among the leases.
    private static let lease = 2

    /// The chore that does it.
    ///
    /// - Parameter store: forgets what expires.
    public static func chore(_ limits: Limits, every interval: Duration, store: ConversationStore? = nil) -> Chore {
        let walk = SessionWalk(store)
        return Chore(lease: lease, name: "purging sessions", interval: interval) { database, now in
            try await walk.step(limits, database, now)
        }
    }
}

/// Where a round stands. One process has one; another process begins its own round.
private final class SessionWalk: Sendable {
    private struct State {
        var place: SessionKey?
        /// What the last slice had to remove.
        var dead: [SessionKey] = []
        /// Whether that was the last slice of the round.
        var isAtEnd = false

        /// Whether another step has something to do in this round.
        var progress: Chore.Progress { isAtEnd && dead.isEmpty ? .done : .more }
    }

    private let state = Mutex(State())
    private let store: ConversationStore?

    init(_ store: ConversationStore?) { self.store = store }

    func step(_ limits: SessionPurge.Limits, _ database: any Database, _ now: Timestamp) async throws -> Chore.Progress
    {
        if let key = state.withLock({ $0.dead.last }) {
            let progress = try await database.write(.patiently) { connection in
                try SessionRemoval.removePiece(of: key, where: { limits.isOver($0, at: now) }, connection)
            }
            return state.withLock { state in
                if progress == .done { _ = state.dead.popLast() }
                return state.progress
            }
        }
        let place = state.withLock { $0.place }
        let rows = try await database.read(.patiently) {
            try $0.rows(PurgeSQL.sessions(after: place), ScannedSession.init)
        }
        for row in rows where row.isExpired(limits, at: now) {
            try await expire(row.key, limits, database, now)
        }
        let dead = rows.filter { $0.deleted.map { limits.isOver($0, at: now) } ?? false }.map(\.key)
        return state.withLock { state in
            state.dead = dead
            state.isAtEnd = rows.count < SessionPurge.slice
            state.place = state.isAtEnd ? nil : rows.last?.key
            return state.progress
        }
    }

    private func expire(
        _ key: SessionKey, _ limits: SessionPurge.Limits, _ database: any Database, _ now: Timestamp
    ) async throws {
        let end: @Sendable (any Connection) throws -> Void = { [store] in
            try PurgeSQL.expire(key, limits, at: now, unless: { store?.waits($0) ?? false }, $0)
        }
        if let store {
            try await store.writePatiently(changing: .session(key), end)
        } else {
            try await database.write(.patiently, end)
        }
    }
}

/// What a round looks at.
private struct ScannedSession: Sendable {
    let key: SessionKey
    let deleted: Timestamp?
    let lastMessage: Timestamp
    /// From when on it is gone by its own time to live, which goes before the configured one.
    let expiry: Timestamp?

    /// Whether its time is over and it was not deleted yet.
    func isExpired(_ limits: SessionPurge.Limits, at now: Timestamp) -> Bool {
        guard deleted == nil else { return false }
        if let expiry { return expiry <= now }
        return limits.timeToLive.map { lastMessage.advanced(by: $0) < now } ?? false
    }

    init(_ row: borrowing Row) throws {
        key = SessionKey(owner: try row.value(0), session: try row.value(1))
        deleted = try row.optional(2)
        lastMessage = try row.value(3)
        expiry = try row.optional(4)
    }
}

private enum PurgeSQL {
    private static let columns = "user_id, session_id, deleted_us, last_message_at, expires_us"

    /// The next sessions in the order of the primary key.
    static func sessions(after place: SessionKey?) -> SQL {
        var sql: SQL = "SELECT \(raw: columns) FROM sessions "
        if let place {
            sql += "WHERE user_id > \(place.owner) OR (user_id = \(place.owner) AND session_id > \(place.session)) "
        }
        return sql + "ORDER BY user_id, session_id LIMIT \(SessionPurge.slice)"
    }

    private static func lock(_ key: SessionKey, _ dialect: Dialect) -> SQL {
        """
        SELECT \(raw: columns) FROM sessions WHERE user_id = \(key.owner) AND session_id = \(key.session) \
        \(raw: dialect.forUpdate)
        """
    }

    /// Deletes a session unless somebody has used it meanwhile.
    ///
    /// - Parameter waits: whether turns of a session are in the spool: its row does not know yet that it was used.
    static func expire(
        _ key: SessionKey, _ limits: SessionPurge.Limits, at now: Timestamp, unless waits: (SessionKey) -> Bool,
        _ connection: any Connection
    ) throws {
        let found = try connection.first(lock(key, connection.dialect), ScannedSession.init)
        guard found?.isExpired(limits, at: now) == true, !waits(key) else { return }
        _ = try SessionRemoval.delete(key, connection, at: now)
    }
}
