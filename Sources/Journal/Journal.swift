package import Logging
package import NIOCore
package import Persistence
import Synchronization

/// Records on local disk that survive the end of the process and the loss of power, until they are acknowledged.
///
/// - `append` returns after `fdatasync`. Records that come while one runs are written together and share the next.
/// - The bytes on disk and the bytes that were reserved stay below a bound; what was reserved can be appended.
/// - A record that was acknowledged does not come back, except when the process is killed before that is on the disk:
///   the records carry ids by which their reader knows them.
/// - A tail that was cut off is dropped at opening: nobody was told that it was kept. Anything else that cannot be read
///   is copied to the directory `dead` and reported.
/// - One process owns the directory, by a lock that ends with it. When the directory is removed or replaced while it is in
///   use nothing counts as kept, and nothing of what lies there then is touched, until it is back.
///
/// It knows nothing of what the payloads mean. Files are written by a thread of its own; no call blocks its caller,
/// except `init`, which reads the directory.
package final class Journal: Sendable {
    private typealias Writer = JournalWriter

    private enum Task: Sendable {
        case append(JournalWriter.Append)
        case acknowledge([UInt64], erasing: Bool, @Sendable () -> Void)
        case read(UInt64, @Sendable (Result<ByteBuffer?, JournalError>) -> Void)
        case setAside(UInt64, String, @Sendable (Result<Void, JournalError>) -> Void)
    }

    private struct Queue {
        var tasks: [Task] = []
        var isClosed = false
    }

    /// What opening found.
    package let recovery: JournalRecovery
    package let configuration: JournalConfiguration
    private let disk: any JournalFiles
    private let books: JournalBooks
    private let queue = Monitor(Queue())
    private let ended = Countdown(1)
    private let ownership: any JournalLock

    /// Opens the directory, and makes it where it is missing. Blocks while it reads what is there.
    ///
    /// - Parameters:
    ///   - disk: Where it lies; for tests.
    ///   - now: The clock of the records' times.
    /// - Throws: `owned` while another process has it, `unusable`, `io`.
    package init(
        _ configuration: JournalConfiguration, on disk: any JournalFiles = PosixFiles(),
        now: @escaping @Sendable () -> Timestamp = Timestamp.now, logger: Logger
    ) throws(JournalError) {
        try disk.makeDirectory(configuration.directory)
        ownership = try Self.own(configuration, disk)
        var ledger = JournalLedger(limit: configuration.maxBytes)
        var mending = JournalMending(configuration, disk)
        try mending.mend(&ledger)
        recovery = mending.recovery
        self.configuration = configuration
        self.disk = disk
        books = JournalBooks(ledger, free: CheckedDisk(disk, configuration.directory).freeBytes)
        Self.report(mending.recovery, configuration, logger)
        BlockingThread.start("journal") { [queue, ended, books, ownership] in
            let writer = Writer(configuration, disk, books, owner: ownership, now: now)
            writer.clear()
            while let tasks = Self.next(queue) { Self.perform(tasks, writer) }
            ended.leave()
        }
    }

    private static func own(
        _ configuration: JournalConfiguration, _ disk: any JournalFiles
    ) throws(JournalError) -> any JournalLock {
        do throws(JournalError) {
            return try disk.lock(configuration.lockPath)
        } catch {
            guard error.failure == .owned else { throw error }
            throw JournalError(.owned, "\(configuration.directory): \(error.reason)")
        }
    }

    private static func report(_ found: JournalRecovery, _ configuration: JournalConfiguration, _ logger: Logger) {
        let directory: Logger.MetadataValue = "\(configuration.directory)"
        if found.records > 0 {
            logger.notice(
                "The spool holds records of an earlier run.",
                metadata: ["directory": directory, "records": "\(found.records)"])
        }
        if found.tornBytes > 0 {
            logger.notice(
                "The end of a write that was cut off was removed from the spool.",
                metadata: ["directory": directory, "bytes": "\(found.tornBytes)"])
        }
        if found.damagedPieces > 0 {
            logger.critical(
                "Damaged pieces of the spool were copied to its dead letters.",
                metadata: ["directory": directory, "pieces": "\(found.damagedPieces)"])
        }
    }

    // MARK: Room

    /// Promises room for a payload of `count` bytes.
    ///
    /// - Throws: `full` while there is none, `tooLarge` if there can never be.
    package func reserve(_ count: Int) throws(JournalError) -> JournalReservation {
        let size = JournalEntry.size(of: count)
        guard size + SegmentHeader.size <= configuration.maxBytes else {
            throw JournalError(.tooLarge, "a record of \(count) bytes is more than the journal may hold")
        }
        guard books.reserve(size) else { throw JournalError(.full, "the journal has no room for \(count) bytes") }
        return JournalReservation(books, size)
    }

    // MARK: Records

    /// Appends a record; returns when it would survive a loss of power.
    ///
    /// - Parameter reservation: Where its room comes from; it stays reserved until it is released.
    /// - Throws: `full`, `io`, `closed`; the record is then not there.
    package func append(
        _ payload: ByteBuffer, from reservation: JournalReservation? = nil
    ) async throws(JournalError) -> JournalEntry {
        try await perform { .append(JournalWriter.Append(payload: payload, reservation: reservation, completion: $0)) }
    }

    /// Appends a record, for callers that wait no longer than they want to.
    ///
    /// - Parameter completion: told once, on the journal's thread: it must not block.
    package func append(
        _ payload: ByteBuffer, from reservation: JournalReservation?,
        completion: @escaping @Sendable (Result<JournalEntry, JournalError>) -> Void
    ) {
        let append = JournalWriter.Append(payload: payload, reservation: reservation, completion: completion)
        if !submit(.append(append)) { completion(.failure(Self.closed)) }
    }

    /// The payload of a record; nil if it was acknowledged.
    ///
    /// - Throws: `io` if it cannot be read, `damaged` if it is not what was written.
    package func read(_ sequence: UInt64) async throws(JournalError) -> ByteBuffer? {
        try await perform { .read(sequence, $0) }
    }

    /// The payload of a record, for callers that wait no longer than they want to.
    ///
    /// - Parameter completion: told once, on the journal's thread: it must not block.
    package func read(
        _ sequence: UInt64, completion: @escaping @Sendable (Result<ByteBuffer?, JournalError>) -> Void
    ) {
        if !submit(.read(sequence, completion)) { completion(.failure(Self.closed)) }
    }

    /// The first bytes of a record's payload. Blocks: for the start of the process.
    package func prefix(of entry: JournalEntry, _ count: Int) throws(JournalError) -> ByteBuffer {
        let file = try disk.openForReading(configuration.segmentPath(entry.segment))
        return try file.read(at: entry.offset + RecordHeader.size, min(count, entry.length))
    }

    /// Says that records are done. Idempotent.
    ///
    /// - Parameter erasing: Whether their bytes are overwritten now, and not only when their file is removed.
    package func acknowledge(_ sequences: [UInt64], erasing: Bool = false) async {
        guard !sequences.isEmpty else { return }
        await withCheckedContinuation { continuation in
            let isTaken = submit(.acknowledge(sequences, erasing: erasing) { continuation.resume() })
            if !isTaken { continuation.resume() }
        }
    }

    /// Moves a record to the dead letters: it was refused for good, or it is damaged (then its bytes as they are).
    ///
    /// - Parameter reason: Why, without values.
    package func setAside(_ sequence: UInt64, because reason: String) async throws(JournalError) {
        try await perform { .setAside(sequence, reason, $0) }
    }

    /// The records that wait, in order.
    package var entries: [JournalEntry] { books.ledger.withLock { $0.waiting } }

    /// The oldest record that waits.
    package var first: JournalEntry? { books.ledger.withLock { $0.first } }

    package var status: JournalStatus { books.status(ownership, of: configuration.directory) }

    /// How many tasks wait for the journal's thread.
    package var pendingTasks: Int { queue.withLock { $0.tasks.count } }

    /// Finishes what was taken and gives the directory up. Idempotent.
    package func close() async {
        queue.withLock { $0.isClosed = true }
        queue.broadcast()
        await ended.wait()
        ownership.release()
    }

    // MARK: The thread

    private func perform<Value: Sendable>(
        _ task: (@escaping @Sendable (Result<Value, JournalError>) -> Void) -> Task
    ) async throws(JournalError) -> Value {
        let result = await withCheckedContinuation { continuation in
            if !submit(task { continuation.resume(returning: $0) }) {
                continuation.resume(returning: Result<Value, JournalError>.failure(Self.closed))
            }
        }
        return try result.get()
    }

    private static let closed = JournalError(.closed, "the journal is closed")

    private func submit(_ task: Task) -> Bool {
        let isTaken = queue.withLock { queue in
            guard !queue.isClosed else { return false }
            queue.tasks.append(task)
            return true
        }
        if isTaken { queue.signal() }
        return isTaken
    }

    private static func next(_ queue: Monitor<Queue>) -> [Task]? {
        queue.wait { queue in
            guard !queue.tasks.isEmpty else { return queue.isClosed ? .found(nil) : .wait }
            defer { queue.tasks = [] }
            return .found(queue.tasks)
        }
    }

    /// Appends that follow each other share a write, up to a limit of bytes.
    private static func perform(_ tasks: [Task], _ writer: JournalWriter) {
        var appends: [JournalWriter.Append] = []
        var bytes = 0
        func flush() {
            if !appends.isEmpty { writer.append(appends) }
            (appends, bytes) = ([], 0)
        }
        for task in tasks {
            if case .append(let append) = task {
                if bytes + append.payload.readableBytes > 8 << 20 { flush() }
                appends.append(append)
                bytes += append.payload.readableBytes
            } else {
                flush()
                perform(task, writer)
            }
        }
        flush()
    }

    private static func perform(_ task: Task, _ writer: JournalWriter) {
        switch task {
        case .append(let append): writer.append([append])
        case .acknowledge(let sequences, let erasing, let completion):
            writer.acknowledge(sequences, erasing: erasing)
            completion()
        case .read(let sequence, let completion):
            completion(Result { () throws(JournalError) in try writer.read(sequence) })
        case .setAside(let sequence, let reason, let completion):
            completion(Result { () throws(JournalError) in try writer.setAside(sequence, because: reason) })
        }
    }
}

/// How much room the disk has, asked at most a few times a second: every exchange wants to know.
private final class CheckedDisk: Sendable {
    private struct State {
        var bytes = 0
        var time: ContinuousClock.Instant?
    }

    private let files: any JournalFiles
    private let directory: String
    private let state = Mutex(State())

    init(_ files: any JournalFiles, _ directory: String) {
        self.files = files
        self.directory = directory
    }

    /// A disk that cannot say counts as full.
    func freeBytes() -> Int {
        let now = ContinuousClock.now
        return state.withLock { state in
            if let time = state.time, now - time < .milliseconds(250) { return state.bytes }
            state.time = now
            state.bytes = (try? files.freeBytes(directory)) ?? 0
            return state.bytes
        }
    }
}
