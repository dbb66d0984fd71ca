import Journal
import Logging
import NIOCore
import Persistence
import Synchronization

/// The turns that wait in the journal, by session.
final class TurnSpool: Sendable {
    private struct Totals {
        var spooled = 0
        var replayed = 0
        var discarded = 0
        var refused = 0
    }

    let settings: SpoolSettings
    private let journal: Journal
    private let index: Mutex<SpoolIndex>
    private let totals = Mutex(Totals())
    /// Yields when there may be something to replay.
    let arrivals: AsyncStream<Void>
    private let arrive: AsyncStream<Void>.Continuation
    private let logger: Logger

    /// Opens the directory and reads whose turns wait in it. Blocks: for the start of the process.
    init(_ settings: SpoolSettings, on disk: any JournalFiles, logger: Logger) throws(JournalError) {
        self.settings = settings
        self.logger = logger
        (arrivals, arrive) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let configuration = JournalConfiguration(directory: settings.directory, maxBytes: settings.maxSize)
        journal = try Journal(configuration, on: disk, logger: logger)
        var index = SpoolIndex()
        for entry in journal.entries {
            do {
                let prefix = try journal.prefix(of: entry, TurnCoding.prefixSize)
                let (key, id) = try TurnCoding.identity(prefix)
                index.add(SpoolIndex.Turn(sequence: entry.sequence, key: key, id: id, bytes: entry.length))
            } catch {
                // It stays in the journal for a release that can read it.
                logger.critical(
                    "A spooled turn cannot be read by this release.",
                    metadata: ["sequence": "\(entry.sequence)", "error": "\(error)"])
            }
        }
        self.index = Mutex(index)
        if !index.isEmpty { arrive.yield() }
    }

    // MARK: Room

    func reserve(_ count: Int) throws(TurnRoomError) -> JournalReservation {
        do throws(JournalError) {
            return try journal.reserve(count)
        } catch {
            throw error.failure == .tooLarge ? .tooLarge(limit: settings.maxSize) : .full
        }
    }

    // MARK: Turns

    /// Whether turns of this session wait, or are on their way.
    func holds(_ key: SessionKey) -> Bool { index.withLock { $0.holds(key) } }

    var isEmpty: Bool { index.withLock { $0.isEmpty } }

    /// How many turns have left for the database so far.
    var departures: UInt64 { index.withLock { $0.departures } }

    /// Keeps a turn.
    ///
    /// - Parameter completion: told when it would survive a loss of power, or that it is not there. On the journal's
    ///   thread, which a disk that hangs holds up: whoever waits does not wait for ever.
    func append(
        _ turn: TurnDraft, from room: TurnRoom?,
        completion: @escaping @Sendable (Result<Void, JournalError>) -> Void
    ) {
        let payload = TurnCoding.encode(turn)
        _ = room?.reservation?.grow(to: payload.readableBytes)
        index.withLock { $0.arrive(turn.key) }
        let (key, id, bytes) = (turn.key, turn.id, payload.readableBytes)
        journal.append(payload, from: room?.reservation) { [self] result in
            switch result {
            case .success(let entry):
                let spooled = SpoolIndex.Turn(sequence: entry.sequence, key: key, id: id, bytes: bytes)
                index.withLock { $0.arrived(key, spooled) }
                totals.withLock { $0.spooled += 1 }
                completion(.success(()))
                arrive.yield()
            case .failure(let error):
                index.withLock { $0.arrived(key, nil) }
                completion(.failure(error))
            }
        }
    }

    /// The waiting turns of a session, in order.
    func waiting(of key: SessionKey) -> [SpoolIndex.Turn] { index.withLock { $0.turns(of: key) } }

    /// Reads a turn as it was spooled; nil if it is done.
    ///
    /// - Parameter completion: told once, on the journal's thread.
    func read(_ turn: SpoolIndex.Turn, completion: @escaping @Sendable (Result<TurnDraft?, any Error>) -> Void) {
        journal.read(turn.sequence) { payload in
            completion(Result { try payload.get().map { try TurnCoding.decode($0) } })
        }
    }

    /// A turn as it was spooled; nil if it is done.
    func draft(_ turn: SpoolIndex.Turn) async throws -> TurnDraft? {
        guard let payload = try await journal.read(turn.sequence) else { return nil }
        return try TurnCoding.decode(payload)
    }

    // MARK: Replaying

    func takeForReplay() -> [(turn: SpoolIndex.Turn, hasDiverged: Bool)] {
        index.withLock { $0.takeForReplay(limit: 64, bytes: 16 << 20) }
    }

    /// Tries a turn again later.
    func putBack(_ turn: SpoolIndex.Turn) { index.withLock { _ = $0.finish(turn, isDone: false) } }

    /// Notes that the database refused a turn; whether the turn is the reason (`SpoolIndex.refuse`).
    func refuse(_ turn: SpoolIndex.Turn, whenStored count: UInt64) -> Bool {
        index.withLock { $0.refuse(turn, whenStored: count) }
    }

    /// The turn is stored. Its record is acknowledged together with others.
    func finish(_ turn: SpoolIndex.Turn) {
        guard index.withLock({ $0.finish(turn, isDone: true) }) else { return }
        totals.withLock { $0.replayed += 1 }
    }

    /// The journal does not have it any more.
    func forget(_ turn: SpoolIndex.Turn) { index.withLock { _ = $0.finish(turn, isDone: true) } }

    /// The database has no such session, or has it as deleted. Who restores an older backup is told what that has cost;
    /// what this process has erased itself is not there any more.
    func discard(_ turn: SpoolIndex.Turn) {
        guard index.withLock({ $0.finish(turn, isDone: true) }) else { return }
        logger.warning(
            "The session of a spooled turn is gone; the turn was discarded.",
            metadata: ["session": "\(turn.key.session)", "turn": "\(turn.id)"])
        totals.withLock { $0.discarded += 1 }
    }

    func diverge(_ key: SessionKey) { index.withLock { $0.diverge(key) } }

    func acknowledge(_ turns: [SpoolIndex.Turn]) async {
        await journal.acknowledge(turns.map(\.sequence))
        CrashPoint.afterAcknowledge.pass()
    }

    /// The turn was refused for good: it goes to the dead letters and blocks nothing.
    func setAside(_ turn: SpoolIndex.Turn, because reason: String) async {
        logger.critical(
            "A spooled turn was refused; it was set aside.",
            metadata: ["session": "\(turn.key.session)", "turn": "\(turn.id)", "reason": "\(reason)"])
        do {
            try await journal.setAside(turn.sequence, because: reason)
        } catch {
            // It is left in the journal, and not tried again by this process.
            logger.critical("It could not be written to the dead letters.", metadata: ["error": "\(error)"])
        }
        index.withLock { index in
            index.diverge(turn.key)
            index.finish(turn, isDone: true)
        }
        totals.withLock { $0.refused += 1 }
    }

    /// Erases the waiting turns of sessions that are gone, on the disk too. What is being written at this moment finds
    /// its session deleted when it is replayed.
    @discardableResult
    func discard(_ isMeant: @Sendable (SessionKey) -> Bool) async -> Int {
        let discarded = index.withLock { $0.discard(isMeant) }
        await journal.acknowledge(discarded.map(\.sequence), erasing: true)
        return discarded.count
    }

    // MARK: Around

    var status: SpoolStatus {
        let (journal, totals) = (journal.status, totals.withLock { $0 })
        var status = SpoolStatus()
        status.turns = journal.records
        status.bytes = journal.bytes
        status.reserved = journal.reserved
        status.limit = journal.limit
        status.oldest = journal.oldest
        status.deadLetters = journal.deadLetters
        status.spooledTotal = totals.spooled
        status.replayedTotal = totals.replayed
        status.discardedTotal = totals.discarded
        status.refusedTotal = totals.refused
        status.failure = journal.failure
        return status
    }

    func close() async {
        arrive.finish()
        await journal.close()
    }
}
