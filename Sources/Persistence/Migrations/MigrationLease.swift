import Synchronization

/// The right to migrate, held by one process at a time: the lease of number 1, how long it lasts, and how it is waited
/// for. Whoever works too long without renewing it notices before the next statement.
package struct MigrationLease: Sendable {
    package var duration: Duration
    /// Between two looks at a lease that another process holds.
    package var poll: Duration
    package var clock: DatabaseLease.Clock
    /// Waits for `poll`; injected, so that tests need not.
    package var wait: @Sendable (Duration) async throws -> Void

    package init(
        duration: Duration = .seconds(60), poll: Duration = .milliseconds(50),
        clock: @escaping DatabaseLease.Clock = DatabaseClock.now,
        wait: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) {
        self.duration = duration
        self.poll = poll
        self.clock = clock
        self.wait = wait
    }

    /// Proof of holding the lease, as long as it is renewed.
    package final class Token: Sendable {
        private let lease: DatabaseLease
        fileprivate let duration: Duration
        private let isLost = Atomic(false)

        fileprivate init(_ lease: DatabaseLease, _ duration: Duration) {
            self.lease = lease
            self.duration = duration
        }

        /// Holds it for another `duration`.
        ///
        /// - Throws: `refuse` when another process has taken it; from then on `check` throws too.
        package func renew(_ connection: any Connection) throws {
            if try !lease.renew(connection, for: duration) { giveUp() }
            try check()
        }

        /// Throws `refuse` when the lease was found lost.
        package func check() throws {
            guard isLost.load(ordering: .acquiring) else { return }
            throw DatabaseError(.refuse, "another process has taken over the migration")
        }

        fileprivate func giveUp() { isLost.store(true, ordering: .releasing) }
    }

    /// Waits for the lease, runs `body`, and gives it back.
    ///
    /// - Parameter noteWait: Told once, where another process has it.
    package func hold<Value: Sendable>(
        on database: any Database, noteWait: () -> Void = {}, _ body: (Token) async throws -> Value
    ) async throws -> Value {
        let lease = DatabaseLease(1, on: database, clock: clock)
        if try await lease.hold(for: duration) == nil {
            noteWait()
            repeat { try await wait(poll) } while try await lease.hold(for: duration) == nil
        }
        do {
            let value = try await body(Token(lease, duration))
            try await lease.release()
            return value
        } catch {
            // The error of the migration is the one that matters; a lease that stays behind expires.
            try? await lease.release()
            throw error
        }
    }
}

extension MigrationLease.Token {
    /// Renews the lease three times while it lasts, until the task is cancelled. A lease that could not be renewed for
    /// as long as it lasts counts as lost.
    ///
    /// - Parameter rest: sleeps; injected, so that tests need not.
    package func keep(
        on database: any Database, rest: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) async {
        var failures = 0
        while failures < 3, (try? await rest(duration / 3)) != nil {
            do {
                // SQLite lets nobody write while the migration does, and so nobody takes the lease either.
                try await database.write(.patiently) { try self.renew($0) }
                failures = 0
            } catch {
                guard (try? check()) != nil else { return }
                failures += 1
            }
        }
        if failures == 3 { giveUp() }
    }
}
