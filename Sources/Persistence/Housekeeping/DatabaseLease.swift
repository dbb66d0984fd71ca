/// The right to do something that one process at a time does: a row that one holds until it expires, taken by compare
/// and set. Chores and migrations use it.
///
/// A row and no `GET_LOCK`, because that is bound to one connection and unknown to a Galera cluster. All times are the
/// database's own, so clocks of several machines need not agree. Whoever dies with a lease loses it when it expires.
package final class DatabaseLease: Sendable {
    /// Which time it is, for everybody on the database.
    package typealias Clock = @Sendable (any Connection) throws -> Timestamp

    private let id: Int
    private let holder = UniqueID.generate()
    private let database: any Database
    private let clock: Clock

    /// - Parameters:
    ///   - id: its row; the migrator's is 1.
    ///   - clock: for tests.
    package init(_ id: Int, on database: any Database, clock: @escaping Clock = DatabaseClock.now) {
        self.id = id
        self.database = database
        self.clock = clock
    }

    /// Takes the lease, or keeps it, from now on for `duration`.
    ///
    /// - Returns: The database's time; nil if another process has it.
    package func hold(for duration: Duration) async throws -> Timestamp? {
        try await database.write(.patiently) { [self] connection in
            try connection.execute(
                """
                INSERT INTO schema_lease (lease_id, holder, expires_us) VALUES (\(id), NULL, 0) \
                \(raw: connection.dialect.orIgnore("lease_id"))
                """)
            return try set(connection, for: duration, evenIfExpired: true)
        }
    }

    /// Keeps the lease from now on for `duration`, inside a transaction.
    ///
    /// - Returns: False if another process has taken it, because it had expired.
    package func renew(_ connection: any Connection, for duration: Duration) throws -> Bool {
        try set(connection, for: duration, evenIfExpired: false) != nil
    }

    /// Gives it to whoever comes next.
    package func release() async throws {
        try await database.write(.patiently) { [id, holder] connection in
            _ = try connection.execute(
                "UPDATE schema_lease SET holder = NULL, expires_us = 0 WHERE lease_id = \(id) AND holder = \(holder)")
        }
    }

    /// - Parameter evenIfExpired: whether one that somebody else has let expire is taken.
    private func set(
        _ connection: any Connection, for duration: Duration, evenIfExpired: Bool
    ) throws -> Timestamp? {
        let now = try clock(connection)
        let lease: SQL = """
            SELECT holder, expires_us FROM schema_lease WHERE lease_id = \(id) \(raw: connection.dialect.forUpdate)
            """
        let isOurs = try connection.first(lease) { row in
            let current: UniqueID? = try row.optional(0)
            return try current == holder || evenIfExpired && row.value(1, as: Timestamp.self) < now
        }
        guard isOurs == true else { return nil }
        try connection.execute(
            """
            UPDATE schema_lease SET holder = \(holder), expires_us = \(now.advanced(by: duration)) \
            WHERE lease_id = \(id)
            """)
        return now
    }
}

/// The time that all processes on one database share.
package enum DatabaseClock {
    /// The database's time.
    package static let now: DatabaseLease.Clock = { connection in
        switch connection.dialect {
        // A file has the clock of its machine.
        case .sqlite: return .now()
        case .mariadb:
            let query: SQL = "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"
            return try connection.first(query) { try $0.value(0) } ?? .now()
        }
    }
}
