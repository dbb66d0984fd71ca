public import Logging

/// Background work on the database that one process at a time does, in small steps: removing what is old, for example.
///
/// A round consists of steps, until one says that nothing is left; then nobody does it for `interval`. Whatever a step
/// does it may do twice, and another process may do the same at that moment: a lease makes that rare, not impossible.
public struct Chore: Sendable {
    /// What a step has left to do.
    public enum Progress: Sendable, Equatable {
        /// The next step comes after `pause`.
        case more
        /// The round is over.
        case done
    }

    /// Does a bounded piece of the work. `now` is the earlier of two clocks, the database's and this machine's: the times
    /// of rows are those of machines, and one whose clock is wrong, or was put forward, removes nothing too early.
    public typealias Step = @Sendable (_ database: any Database, _ now: Timestamp) async throws -> Progress

    /// The chore's place among the leases; unique and never changed.
    public let lease: Int
    /// For the log.
    public let name: String
    /// From the end of a round to the beginning of the next.
    public let interval: Duration
    /// Between two steps: the rest of the time belongs to those who wait for an answer.
    public let pause: Duration
    let step: Step

    /// How long the end of a chore waits for its lease to be given back.
    private static let patience: Duration = .seconds(1)

    /// For how long one step may keep the lease; a process that dies in it delays the others by so much.
    private static let stepLimit: Duration = .seconds(60)

    /// The leases that chores may have: 1 is the migrator's, and what is behind them belongs to others.
    package static let leases = 2..<1_000

    /// - Parameter lease: from 2 to 999, another one for each chore.
    public init(
        lease: Int, name: String, interval: Duration, pause: Duration = .milliseconds(50), step: @escaping Step
    ) {
        precondition(Self.leases.contains(lease), "the leases of chores are \(Self.leases)")
        self.lease = lease
        self.name = name
        self.interval = interval
        self.pause = pause
        self.step = step
    }

    /// Does the chore until the task is cancelled, then gives it free for others.
    ///
    /// - Parameter wait: Sleeps; injected, so that tests need not. It throws when the task is cancelled.
    public func run(
        on database: any Database, logger: Logger,
        wait: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) async { await run(on: database, clock: Timestamp.now, logger: logger, wait: wait) }

    /// - Parameter clock: This machine's.
    package func run(
        on database: any Database, clock: @Sendable () -> Timestamp, logger: Logger,
        wait: @escaping @Sendable (Duration) async throws -> Void
    ) async {
        let lease = DatabaseLease(lease, on: database)
        var failures = 0
        while true {
            let rest: Duration
            do {
                rest = try await round(lease, database, clock, wait)
                failures = 0
            } catch is CancellationError {
                break
            } catch {
                // An outage is reported by others; this is for what never succeeds.
                failures += 1
                logger.log(
                    level: failures == 3 ? .warning : .debug, "A chore failed; it will be tried again.",
                    metadata: ["chore": "\(name)", "error": "\(String(reflecting: error))"])
                rest = min(interval, .seconds(10))
            }
            guard (try? await wait(rest)) != nil else { break }
        }
        // Not while the database hangs: the shutdown does not wait for it, and a lease expires by itself.
        guard failures == 0 else { return }
        await database.threads.waitAtEnd(Self.patience) { try? await lease.release() }
    }

    /// - Returns: After how long to look again.
    private func round(
        _ lease: DatabaseLease, _ database: any Database, _ clock: @Sendable () -> Timestamp,
        _ wait: @Sendable (Duration) async throws -> Void
    ) async throws -> Duration {
        while let now = try await lease.hold(for: Self.stepLimit) {
            guard try await step(database, min(now, clock())) == .done else {
                try await wait(pause)
                continue
            }
            // It is kept until the next round is due, so that of many processes one does one round.
            _ = try await lease.hold(for: interval)
            return interval
        }
        return min(interval, Self.stepLimit)
    }
}
