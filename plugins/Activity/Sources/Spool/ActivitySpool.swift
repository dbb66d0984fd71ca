import Glibc
import Journal
import Logging
import Persistence
import Synchronization
import TurnpikeKit

/// Keeps the rows that the database does not take, on local disk, and stores them when it does again.
///
/// Rows gather in memory for a fraction of a second and are then written to a journal, many in one record; the oldest
/// record is tried again each second. A row is stored once however often that happens, because its key is the
/// exchange's. Both places are bounded: what no longer fits is lost, and counted.
final class ActivitySpool: Sendable {
    struct Settings: Sendable, Equatable {
        /// Made when there is something to keep; belongs to one process at a time.
        var directory: String
        var maxBytes = 64 << 20
    }

    /// Rows in memory; beyond, the newest are lost.
    static let waitingLimit = 65_536
    private static let retryInterval: UInt64 = 1_000_000_000

    /// Rows that were set aside, and why the last of them were.
    struct GivenUp {
        var rows: Int
        var error: any Error
    }

    private struct State {
        var waiting = WaitingRows()
        var isBusy = false
        var journal: Journal?
        var nextReplay: UInt64 = 0
        var hasComplained = false
    }

    let settings: Settings
    private let database: any Database
    private let clock: GatewayClock
    private let logger: Logger
    private let state = Mutex(State())

    init(_ settings: Settings, database: any Database, clock: GatewayClock, logger: Logger) {
        self.settings = settings
        self.database = database
        self.clock = clock
        self.logger = logger
    }

    /// Takes a row; false if there is no room for it. Never blocks.
    func take(_ row: ActivityRow) -> Bool {
        state.withLock { state in
            guard state.waiting.count < Self.waitingLimit else { return false }
            state.waiting.append(row)
            return true
        }
    }

    /// What waits: rows in memory, and the journal's records and bytes.
    var status: (rows: Int, records: Int, bytes: Int) {
        let (rows, journal) = state.withLock { ($0.waiting.count, $0.journal) }
        let status = journal?.status
        return (rows, status?.records ?? 0, status?.bytes ?? 0)
    }

    /// To be called a few times a second: writes what has gathered to the disk, and tries to store what lies there.
    /// Two callers at once do no harm.
    ///
    /// - Returns: The rows that were given up, if any: they can never be stored.
    @discardableResult
    func tick() async -> GivenUp? {
        let isMine = state.withLock { state in
            defer { state.isBusy = true }
            return !state.isBusy
        }
        guard isMine else { return nil }
        defer { state.withLock { $0.isBusy = false } }
        await flush()
        return await replay()
    }

    /// Gives the directory to another process; for tests, the end of this one does it too.
    func close() async {
        let journal = state.withLock { state in
            defer { state.journal = nil }
            return state.journal
        }
        await journal?.close()
    }

    // MARK: To the disk

    /// Writes what has gathered to the disk. What the disk does not take stays in memory.
    func flush() async {
        while true {
            guard let rows = state.withLock({ $0.waiting.takeBatch() }) else { return }
            do {
                let journal = try await opened()
                _ = try await journal.append(ActivityBatchCoding.encode(rows))
                state.withLock { $0.hasComplained = false }
            } catch {
                state.withLock { $0.waiting.putBack(rows) }
                return complain(error)
            }
        }
    }

    private func complain(_ error: any Error) {
        let isFirst = state.withLock { state in
            defer { state.hasComplained = true }
            return !state.hasComplained
        }
        guard isFirst else { return }
        logger.warning(
            "Activity rows cannot be spooled; they wait in memory.", metadata: ["error": "\(String(reflecting: error))"]
        )
    }

    /// Opening reads the directory, so it happens on a thread of its own: those of the database may all hang.
    private func opened() async throws -> Journal {
        if let journal = state.withLock({ $0.journal }) { return journal }
        let (settings, logger) = (settings, logger)
        let answer = FirstAnswer<Journal>()
        BlockingThread.start("activity-spool") {
            let configuration = JournalConfiguration(directory: settings.directory, maxBytes: settings.maxBytes)
            answer.give(Result { try Journal(configuration, logger: logger) })
        }
        await answer.arrival.wait()
        let journal = try answer.take()
        state.withLock { $0.journal = journal }
        return journal
    }

    // MARK: Into the database

    private func replay() async -> GivenUp? {
        guard let journal = await existing() else { return nil }
        var givenUp: GivenUp?
        while clock.monotonicNanoseconds() >= state.withLock({ $0.nextReplay }), let entry = journal.first {
            var rows = 1
            do {
                guard let record = try await journal.read(entry.sequence) else { continue }
                let (columns, values) = try ActivityBatchCoding.decode(record)
                rows = values.count / columns
                try await store(values, columns)
                await journal.acknowledge([entry.sequence])
            } catch {
                if await isSetAside(entry, after: error, in: journal) {
                    givenUp = GivenUp(rows: rows + (givenUp?.rows ?? 0), error: error)
                } else {
                    wait()
                }
            }
        }
        return givenUp
    }

    /// Moves what can never be stored to the dead letters; false for what may be stored later, and where that fails.
    private func isSetAside(_ entry: JournalEntry, after error: any Error, in journal: Journal) async -> Bool {
        let reason: String
        switch error {
        case let error as DatabaseError where error.failure == .data: reason = error.debugDescription
        case is ActivityBatchCoding.Unreadable: reason = "no release of this kind has written it"
        case let error as JournalError where error.failure == .damaged: reason = error.description
        default: return false
        }
        do {
            try await journal.setAside(entry.sequence, because: reason)
        } catch {
            complain(error)
            return false
        }
        logger.critical("Spooled activity rows were set aside.", metadata: ["reason": "\(reason)"])
        return true
    }

    private func wait() {
        let next = clock.monotonicNanoseconds() &+ Self.retryInterval
        state.withLock { $0.nextReplay = next }
    }

    /// The journal, if it is open or an earlier process has left one.
    private func existing() async -> Journal? {
        if let journal = state.withLock({ $0.journal }) { return journal }
        guard access(settings.directory, F_OK) == 0 else { return nil }
        do {
            return try await opened()
        } catch {
            complain(error)
            return nil
        }
    }

    private func store(_ values: [SQLValue], _ columns: Int) async throws {
        try await database.write(.patiently) { connection in
            try connection.execute(ActivityRow.insertion(connection.dialect, columns: columns), rows: values)
        }
    }
}
