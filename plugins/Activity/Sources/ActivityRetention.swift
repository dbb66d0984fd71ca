import Persistence

/// Removes rows that are older than `activity.retention`, in the background.
///
/// On SQLite a few hundred at a time. On MariaDB the table is partitioned by time: whole partitions are dropped, which
/// costs the same for any number of rows and gives the space back, and new ones are made ahead.
struct ActivityRetention: Sendable {
    /// The chore's place among the leases.
    private static let lease = 3
    /// Rows that one step removes from a file.
    static let slice = 500

    let retention: Duration

    func chore(every interval: Duration = .seconds(3_600)) -> Chore {
        Chore(lease: Self.lease, name: "removing old activity", interval: interval) { database, now in
            switch database.dialect {
            case .sqlite: try await removeRows(database, now)
            case .mariadb: try await keepPartitions(database, now)
            }
        }
    }

    private func removeRows(_ database: any Database, _ now: Timestamp) async throws -> Chore.Progress {
        let limit = now.advanced(by: .zero - retention)
        let removed = try await database.write(.patiently) { connection in
            try connection.execute(
                """
                DELETE FROM activity WHERE rowid IN \
                (SELECT rowid FROM activity WHERE created_us < \(limit) LIMIT \(Self.slice))
                """)
        }
        return removed < Self.slice ? .done : .more
    }

    private func keepPartitions(_ database: any Database, _ now: Timestamp) async throws -> Chore.Progress {
        let bounds = try await database.read(.patiently) { try Self.bounds($0) }
        // Not partitioned: the migration is still to come.
        guard let bounds else { return .done }
        guard let change = PartitionPlan(bounds: bounds, retention: retention).change(at: now) else { return .done }
        try await database.write(.patiently) { connection in
            // A statement that waits behind an open read would make every later query wait behind itself.
            _ = try connection.execute(
                SQL(raw: "SET STATEMENT lock_wait_timeout = 3, max_statement_time = 0 FOR \(change.statement)"))
        }
        return .more
    }

    /// The upper bounds of the partitions but the last, which has none; nil if there are no partitions.
    private static func bounds(_ connection: any Connection) throws -> [Int64]? {
        let partitions: SQL = """
            SELECT partition_name, partition_description FROM information_schema.partitions \
            WHERE table_schema = DATABASE() AND table_name = 'activity' ORDER BY partition_ordinal_position
            """
        let found = try connection.rows(partitions) { row in
            (name: try row.optional(0, as: String.self), bound: try row.optional(1, as: String.self))
        }
        guard found.contains(where: { $0.name != nil }) else { return nil }
        return found.compactMap { $0.bound.flatMap { Int64($0) } }
    }
}
