/// The right to migrate, held by one process at a time: a row that is taken by compare and set.
///
/// A lease and no `GET_LOCK`, because that is bound to one connection and unknown to a Galera cluster. Whoever dies
/// with the lease loses it when it expires; whoever works too long notices, because every migration renews it first.
package struct MigrationLease: Sendable {
    package var duration: Duration
    /// Between two looks at a lease that another process holds.
    package var poll: Duration
    package var now: @Sendable () -> Timestamp
    /// Waits for `poll`; injected, so that tests need not.
    package var wait: @Sendable (Duration) async throws -> Void

    package init(
        duration: Duration = .seconds(60), poll: Duration = .milliseconds(50),
        now: @escaping @Sendable () -> Timestamp = Timestamp.now,
        wait: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) {
        self.duration = duration
        self.poll = poll
        self.now = now
        self.wait = wait
    }

    /// Proof of holding the lease.
    package struct Token: Sendable {
        fileprivate let holder: UniqueID
        fileprivate let lease: MigrationLease

        /// Holds it for another `duration`; throws when another process has taken it.
        func renew(_ connection: any Connection) throws {
            guard try lease.take(connection, as: self.holder, onlyRenew: true) else {
                throw DatabaseError(.refuse, "another process has taken over the migration")
            }
        }
    }

    /// Waits for the lease, runs `body`, and gives it back.
    package func hold<Value: Sendable>(
        on database: any Database, _ body: (Token) async throws -> Value
    ) async throws -> Value {
        let holder = UniqueID.generate()
        while try await !database.write({ try take($0, as: holder, onlyRenew: false) }) { try await wait(poll) }
        let token = Token(holder: holder, lease: self)
        do {
            let value = try await body(token)
            try await release(holder, on: database)
            return value
        } catch {
            // The error of the migration is the one that matters; a lease that stays behind expires.
            try? await release(holder, on: database)
            throw error
        }
    }

    private func take(_ connection: any Connection, as holder: UniqueID, onlyRenew: Bool) throws -> Bool {
        let moment = now()
        let expires = moment.advanced(by: duration)
        let free: SQL = onlyRenew ? "holder = \(holder)" : "expires_us < \(moment)"
        // Every renewal changes the row, so that MariaDB counts it.
        let changed = try connection.execute(
            """
            UPDATE schema_lease SET holder = \(holder), expires_us = CASE WHEN expires_us = \(expires) \
            THEN \(expires) + 1 ELSE \(expires) END WHERE lease_id = 1 AND \(sql: free)
            """)
        return changed == 1
    }

    private func release(_ holder: UniqueID, on database: any Database) async throws {
        try await database.write { connection in
            _ = try connection.execute(
                "UPDATE schema_lease SET holder = NULL, expires_us = 0 WHERE lease_id = 1 AND holder = \(holder)")
        }
    }
}
