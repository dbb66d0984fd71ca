import NIOCore
import Persistence

/// A session and its active messages as they were at one version, in memory: all of them or the newest, with the bodies
/// that were needed so far.
///
/// It answers as a reader of the database would, or throws `Incomplete` where it does not hold what is asked for.
struct SessionSnapshot: Sendable {
    struct Incomplete: Error {}

    private(set) var session: Session
    /// The version up to which the database has it; what lies above are turns that wait in the spool.
    private(set) var confirmedVersion: Int64
    /// What comes from here on is not in `confirmedVersion`.
    private var confirmedSeq: Int64
    /// How many turns were found stored behind `confirmedVersion`, at versions that nobody knows.
    private var found: Int64 = 0
    /// Whether all of it is in the database, as far as this process knows.
    var isConfirmed: Bool { confirmedVersion == session.version }
    /// Whether it is this version, and in the database.
    func isConfirmed(as version: Int64) -> Bool { confirmedVersion == version && session.version == version }
    /// Oldest first, from the beginning of a turn; every active message from there on.
    private(set) var outlines: [MessageOutline]
    /// Whether `outlines` begins with the session's first active message.
    private(set) var isComplete: Bool
    /// Of as many of them as are in memory, in the same order.
    private(set) var bodies: [StoredMessage]
    /// The stored instructions; nil: not known.
    private(set) var system: SystemMessages?
    private(set) var bodyBytes: Int

    init(
        _ session: Session, outlines: [MessageOutline], isComplete: Bool, bodies: [StoredMessage],
        system: SystemMessages? = nil
    ) {
        self.session = session
        confirmedVersion = session.version
        confirmedSeq = session.nextSeq
        self.outlines = outlines
        self.isComplete = isComplete
        self.system = system
        self.bodies = []
        bodyBytes = 0
        add(bodies)
    }

    /// About how much memory it takes.
    var byteCount: Int {
        600 + outlines.count * MemoryLayout<MessageOutline>.stride + bodies.count * 400 + bodyBytes
            + (system?.body.readableBytes ?? 0) + (session.settings.metadata?.readableBytes ?? 0)
    }

    // MARK: Changing

    /// The session's row as the database has it now, which has the same version.
    mutating func refresh(_ row: Session) {
        session = row
        confirm(row.version, upTo: row.nextSeq)
    }

    /// The database has stored it up to this version and before this seq, as it was foreseen.
    mutating func confirm(_ version: Int64, upTo seq: Int64) {
        (confirmedVersion, confirmedSeq, found) = (version, seq, 0)
    }

    /// The turn that begins at this seq was found stored, where it was expected.
    mutating func noteFound(at seq: Int64) { if seq >= confirmedSeq { found += 1 } }

    /// The version that the next turn gets unless somebody else changes the session before it.
    var nextVersion: Int64 { confirmedVersion + found + 1 }

    /// The seq of the first message of a turn; nil if it is not there or superseded.
    func firstSeq(of turn: UniqueID) -> Int64? { outlines.first { $0.turnID == turn }?.seq }

    /// Follows the storing of a turn, as the database does it.
    ///
    /// - Parameter retry: where a later attempt begins that superseded the turn from the beginning.
    /// - Throws: `Incomplete` where messages are superseded that it does not know; it is then to be dropped.
    mutating func append(_ turn: TurnDraft, overtakenBy retry: Int64? = nil, at time: Timestamp) throws {
        let plan = session.append(turn, overtakenBy: retry, at: time)
        guard retry == nil else {
            session.counters.messages -= Int64(turn.messages.count)
            return
        }
        if let superseded = plan.superseded { try supersede(superseded) }
        for (index, message) in turn.messages.enumerated() {
            add(message, seq: plan.firstSeq + Int64(index), of: turn, at: time)
        }
        if let system = turn.system { self.system = system.copied }
    }

    private mutating func supersede(_ seqs: Range<Int64>) throws {
        let range = try indices(of: seqs)
        let gone = Array(outlines[range])
        outlines.removeSubrange(range)
        session.counters.messages -= Int64(gone.count)
        guard let first = gone.first, let last = gone.last else { return }
        removeBodies(placeOfBody(first.seq)..<placeOfBody(last.seq + 1))
    }

    /// Bodies are copied: a message of a request is a slice of it, and would keep all of it in memory.
    private mutating func add(_ message: NewMessage, seq: Int64, of turn: TurnDraft, at time: Timestamp) {
        let outline = MessageOutline(
            seq: seq, turnID: turn.id, role: message.role, digest: message.digest,
            digestVersion: message.digestVersion, tokens: message.tokens)
        outlines.append(outline)
        add(
            StoredMessage(
                outline: outline, body: message.body.copied, tokenEncoding: message.tokenEncoding,
                isPartial: message.isPartial, createdAt: message.createdAt ?? time))
    }

    /// Adds what a later reading of the same version found.
    mutating func merge(_ other: SessionSnapshot) {
        if other.isComplete && !isComplete || !isComplete && other.outlines.count > outlines.count {
            outlines = other.outlines
            isComplete = other.isComplete
        }
        add(other.bodies)
        system = other.system ?? system
    }

    /// Adds bodies that were read of its messages.
    mutating func add(_ messages: [StoredMessage]) {
        bodies.reserveCapacity(bodies.count + messages.count)
        for message in messages { add(message) }
    }

    /// Behind all others, almost always. One that is there already is the same.
    private mutating func add(_ message: StoredMessage) {
        let place = placeOfBody(message.seq)
        guard place == bodies.endIndex || bodies[place].seq != message.seq else { return }
        var message = message
        message.callsTools = message.callsTools ?? ReplayedMessages.callsTools(message)
        if place == bodies.endIndex { bodies.append(message) } else { bodies.insert(message, at: place) }
        bodyBytes += message.body.readableBytes
    }

    /// Where the body of this seq is, or would be.
    private func placeOfBody(_ seq: Int64) -> Int {
        if bodies.last.map({ $0.seq < seq }) ?? true { return bodies.endIndex }
        return bodies.partitioningIndex { $0.seq >= seq }
    }

    /// Drops the oldest bodies until the others take no more than `limit` bytes.
    mutating func shorten(to limit: Int) {
        var (rest, count) = (bodyBytes, 0)
        while rest > limit, count < bodies.count {
            rest -= bodies[count].body.readableBytes
            count += 1
        }
        removeBodies(0..<count)
    }

    private mutating func removeBodies(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        bodyBytes -= bodies[range].reduce(0) { $0 + $1.body.readableBytes }
        bodies.removeSubrange(range)
    }

    /// The bodies of consecutive outlines: `Incomplete` where one of them is not in memory.
    private func bodies(of outlines: ArraySlice<MessageOutline>) throws -> ArraySlice<StoredMessage> {
        guard let first = outlines.first, let last = outlines.last else { return [] }
        let found = bodies[placeOfBody(first.seq)..<placeOfBody(last.seq + 1)]
        guard found.count == outlines.count else { throw Incomplete() }
        for (place, outline) in zip(found.indices, outlines) where found[place].seq != outline.seq {
            throw Incomplete()
        }
        return found
    }
}

extension SessionSnapshot: HistoryReading {
    func session(_ key: SessionKey) throws -> Session? { session }

    func newestRun(_ limit: Int, of key: SessionKey, from start: Int64) throws -> ArraySlice<StoredMessage> {
        try bodies(of: newestOutlines(limit, from: start))
    }

    /// The outlines of what `newestRun` gives.
    func newestOutlines(_ limit: Int, from start: Int64) throws -> ArraySlice<MessageOutline> {
        guard limit > 0 else { return [] }
        var first = outlines.endIndex
        var whole = outlines.endIndex
        while first > outlines.startIndex, outlines[first - 1].seq >= start {
            first -= 1
            let isBeginning = first == 0 || outlines[first - 1].turnID != outlines[first].turnID
            guard isBeginning else { continue }
            if whole < outlines.endIndex, outlines.endIndex - first > limit { break }
            whole = first
            if outlines.endIndex - first >= limit { break }
        }
        // Where everything that is known was taken, older messages may belong to it too.
        let isDecided = whole > 0 || outlines.count >= limit || isComplete || (outlines.first?.seq ?? .max) <= start
        guard isDecided else { throw Incomplete() }
        return outlines[whole...]
    }

    func outlines(of key: SessionKey, in seqs: Range<Int64>, order: MessageOrder) throws -> [MessageOutline] {
        let range = try indices(of: seqs)
        return order == .oldestFirst ? Array(outlines[range]) : outlines[range].reversed()
    }

    func messages(of key: SessionKey, in seqs: Range<Int64>) throws -> [StoredMessage] {
        Array(try bodies(of: outlines[try indices(of: seqs)]))
    }

    func system(_ key: SessionKey) throws -> SystemMessages? {
        guard let digest = session.systemDigest else { return nil }
        guard let system, system.digest == digest else { throw Incomplete() }
        return system
    }

    private func indices(of seqs: Range<Int64>) throws -> Range<Int> {
        guard isComplete || (outlines.first?.seq ?? .max) <= seqs.lowerBound else { throw Incomplete() }
        let start = outlines.partitioningIndex { $0.seq >= seqs.lowerBound }
        return start..<max(start, outlines.partitioningIndex { $0.seq >= seqs.upperBound })
    }
}

extension Array {
    /// The index of the first element that belongs to the second part, in an array that has two.
    fileprivate func partitioningIndex(_ belongs: (Element) -> Bool) -> Int {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = low + (high - low) / 2
            if belongs(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension ByteBuffer {
    /// The readable bytes in memory of their own.
    var copied: ByteBuffer {
        var copy = ByteBufferAllocator().buffer(capacity: readableBytes)
        copy.writeImmutableBuffer(self)
        return copy
    }
}

extension SystemMessages {
    var copied: SystemMessages { SystemMessages(body: body.copied, digest: digest) }
}
