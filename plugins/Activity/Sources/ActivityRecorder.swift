import Logging
import Persistence
import Synchronization
import TurnpikeKit

/// Takes rows from finishers without waiting, and has them written in batches.
///
/// Bounded: when too many rows wait, or the database does not take them, they go to the spool. What is not kept there
/// either is counted, and the loss is logged once per period. The last half second may be lost when the process is
/// killed; of refusals of nobody in particular, which are gathered, the last two seconds.
final class ActivityRecorder: Sendable {
    typealias Lane = TransactionLane<RecordedRow, Void>

    private let database: any Database
    private let clock: GatewayClock
    private let logger: Logger
    /// Made for the first row: a plugin that is only checked starts no threads.
    private let lane = Mutex<Lane?>(nil)
    private let losses = Mutex(LossReport())
    /// Nil: what the database does not take is lost.
    let spool: ActivitySpool?
    private let refusals = Mutex(RefusalGatherer())

    init(
        database: any Database, clock: GatewayClock, spool: ActivitySpool.Settings? = nil,
        logger: Logger = Logger(label: "turnpike.activity")
    ) {
        self.database = database
        self.spool = spool.map { ActivitySpool($0, database: database, clock: clock, logger: logger) }
        self.clock = clock
        self.logger = logger
    }

    /// How many rows could not be written since the start.
    var lost: Int { losses.withLock { $0.total } }

    /// How many rows wait to be written.
    var pending: Int { lane.withLock { $0 }?.pending ?? 0 }

    /// Registers what is counted here.
    func register(in metrics: MetricRegistry) {
        metrics.register("turnpike_activity_pending", .gauge, "Activity rows that wait to be written.") {
            Double(self.pending)
        }
        metrics.register("turnpike_activity_lost_total", .counter, "Activity rows that could not be written.") {
            Double(self.lost)
        }
        guard let spool else { return }
        metrics.register("turnpike_activity_spool_rows", .gauge, "Activity rows on their way into the spool.") {
            Double(spool.status.rows)
        }
        metrics.register("turnpike_activity_spool_batches", .gauge, "Batches of activity rows in the spool.") {
            Double(spool.status.records)
        }
        metrics.register("turnpike_activity_spool_bytes", .gauge, "Bytes of the activity spool.") {
            Double(spool.status.bytes)
        }
    }

    /// Hands over a row. Never blocks, never throws.
    func record(_ recorded: RecordedRow) {
        guard recorded.isAnonymousRefusal else { return write(recorded) }
        for due in refusals.withLock({ $0.add(recorded.row) }) { write(RecordedRow(due)) }
    }

    func record(_ row: ActivityRow) { record(RecordedRow(row)) }

    /// Hands over what was gathered and is a second old. Called once per second.
    func writeGathered() {
        let now = Timestamp(microseconds: clock.wallMicroseconds())
        for due in refusals.withLock({ $0.takeDue(at: now) }) { write(RecordedRow(due)) }
    }

    private func write(_ row: RecordedRow) {
        do throws(DatabaseError) {
            try opened().enqueue(row) { [self] result in
                if case .failure(let error) = result { keep(row.row, because: error) }
            }
        } catch {
            keep(row.row, because: error)
        }
    }

    /// The values of a row that was refused as data will not be taken later either.
    private func keep(_ row: ActivityRow, because error: any Error) {
        guard (error as? DatabaseError)?.failure != .data, let spool, spool.take(row) else { return noteLoss(error) }
    }

    /// Moves what waits in the spool on, a few times a second, until the task is cancelled.
    func tendSpool() async {
        guard let spool else { return }
        while (try? await Task.sleep(for: .milliseconds(200))) != nil {
            guard let givenUp = await spool.tick() else { continue }
            for _ in 0..<givenUp.rows { noteLoss(givenUp.error) }
        }
    }

    /// How long the database has for the last rows of a configuration, before they go to the spool.
    private static let patience: Duration = .seconds(2)

    /// Writes what was taken. A row that comes later, from an exchange that outlives its configuration, opens a queue of
    /// its own; closing the database ends that.
    func drain() async {
        for row in refusals.withLock({ $0.takeAll() }) { write(RecordedRow(row)) }
        let taken = lane.withLock { lane in
            defer { lane = nil }
            return lane
        }
        await taken?.drain(within: Self.patience)
        await spool?.flush()
    }

    private func opened() -> Lane {
        lane.withLock { lane in
            if let lane { return lane }
            let new = Lane("activity", on: database, limits: .log, apply: Self.write)
            lane = new
            return new
        }
    }

    private static func write(_ connection: any Connection, _ rows: [RecordedRow]) throws -> [Void] {
        let values = BulkRows(width: ActivityRow.columns.count, capacity: rows.count * ActivityRow.usualSize)
        for recorded in rows { recorded.row.append(to: values) }
        try connection.execute(ActivityRow.insertion(connection.dialect), rows: values)
        return Array(repeating: (), count: rows.count)
    }

    private func noteLoss(_ error: any Error) {
        let now = clock.monotonicNanoseconds()
        guard let count = losses.withLock({ $0.add(at: now) }) else { return }
        logger.warning(
            "Activity rows could not be written.",
            metadata: ["lost": "\(count)", "error": "\(String(reflecting: error))"])
    }
}

/// Decides when a loss is worth a line in the log: the first one, then once per period with what has gathered.
struct LossReport {
    static let period: UInt64 = 10_000_000_000

    private(set) var total = 0
    private var unreported = 0
    private var reportedAt: UInt64?

    /// Counts a loss; returns how many are to be reported now, if it is time to.
    mutating func add(at now: UInt64) -> Int? {
        total += 1
        unreported += 1
        if let reportedAt, now < reportedAt &+ Self.period { return nil }
        defer { unreported = 0 }
        reportedAt = now
        return unreported
    }
}
