/// The right to do a chore: a row that one process holds until it expires, taken by compare and set.
///
/// All times are the database's own, so clocks of several machines need not agree.
package final class ChoreLease: Sendable {
    /// For how long one step may keep it; a process that dies in it delays the others by so much.
    static let stepLimit: Duration = .seconds(60)

    private let id: Int
    private let holder = UniqueID.generate()
    private let database: any Database

    package init(_ id: Int, on database: any Database) {
        self.id = id
        self.database = database
    }

    /// Takes the lease, or keeps it, from now on for `duration`.
    ///
    /// - Returns: The database's time; nil if another process has it.
    package func hold(for duration: Duration) async throws -> Timestamp? {
        try await database.write { [id, holder] connection in
            let now = try DatabaseClock.now(connection)
            try connection.execute(
                """
                INSERT INTO schema_lease (lease_id, holder, expires_us) VALUES (\(id), NULL, 0) \
                \(raw: connection.dialect.orIgnore("lease_id"))
                """)
            let lease: SQL = """
                SELECT holder, expires_us FROM schema_lease WHERE lease_id = \(id) \(raw: connection.dialect.forUpdate)
                """
            let isFree = try connection.first(lease) { row in
                let current: UniqueID? = try row.optional(0)
                return try current == holder || row.value(1, as: Timestamp.self) < now
            }
            guard isFree == true else { return nil }
            try connection.execute(
                """
                UPDATE schema_lease SET holder = \(holder), expires_us = \(now.advanced(by: duration)) \
                WHERE lease_id = \(id)
                """)
            return now
        }
    }

    /// Gives it to whoever comes next.
    package func release() async throws {
        try await database.write { [id, holder] connection in
            _ = try connection.execute(
                "UPDATE schema_lease SET holder = NULL, expires_us = 0 WHERE lease_id = \(id) AND holder = \(holder)")
        }
    }
}

/// The time that all processes on one database share.
enum DatabaseClock {
    static func now(_ connection: any Connection) throws -> Timestamp {
        switch connection.dialect {
        // A file has the clock of its machine.
        case .sqlite: return .now()
        case .mariadb:
            let query: SQL = "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"
            return try connection.first(query) { try $0.value(0) } ?? .now()
        }
    }
}
