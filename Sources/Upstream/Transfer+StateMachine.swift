import TurnpikeKit

/// How far a request is, which time-out holds it at the moment, and whether it may have reached the upstream.
///
/// Both clients use it. Events carry the time (monotonic nanoseconds). The time until the connection stands is held by
/// whoever connects.
struct TransferStateMachine {
    /// Time-outs in nanoseconds.
    struct Limits {
        var firstByte: UInt64
        var idle: UInt64
        var total: UInt64

        init(firstByte: UInt64, idle: UInt64, total: UInt64) {
            self.firstByte = firstByte
            self.idle = idle
            self.total = total
        }

        init(_ connection: UpstreamConnection) {
            firstByte = connection.firstByteTimeout.nanoseconds
            idle = connection.idleTimeout.nanoseconds
            total = connection.totalTimeout.nanoseconds
        }
    }

    /// What the request's body allows when it has to be sent a second time.
    enum Upload { case none, bytes, stream }

    enum Expiry: Equatable { case firstByte, idle, total }

    enum SendVerdict: Equatable { case send, refuse }

    private enum State {
        /// Waits for a connection. Next: sending, awaitingHead, over.
        case connecting
        /// Streams the request's body; starved while the client is the one to wait for. Next: awaitingHead, receiving, over.
        case sending(since: UInt64, isStarved: Bool)
        /// The request is out. Next: receiving, over; connecting again when libcurl replaces a connection that was dead.
        case awaitingHead(since: UInt64)
        /// The answer streams. Next: halted, over.
        case receiving(since: UInt64)
        /// The answer waits for its reader, which no time-out but the total one holds against the upstream. Next: receiving, over.
        case halted
        case over
    }

    /// A reused connection that the upstream has closed fails at once. What fails later than this many nanoseconds
    /// after it was sent was probably acted on, and is not repeated.
    static let repeatWindow: UInt64 = 1_000_000_000

    private let limits: Limits
    private let startedAt: UInt64
    private let upload: Upload
    private let isIdempotent: Bool
    private var state = State.connecting
    private var firstSentAt: UInt64?
    private var hasUploadBegun = false

    init(limits: Limits, upload: Upload, isIdempotent: Bool, now: UInt64) {
        self.limits = limits
        self.startedAt = now
        self.upload = upload
        self.isIdempotent = isIdempotent
    }

    /// Whether the upstream may have seen something of the request.
    var mayHaveBeenSeen: Bool { firstSentAt != nil }

    /// Whether the answer's final head is there.
    var hasHead: Bool {
        switch state {
        case .receiving, .halted: true
        case .connecting, .sending, .awaitingHead, .over: false
        }
    }

    /// When the transfer expires if nothing happens before.
    var deadline: UInt64 {
        let total = plus(startedAt, limits.total)
        switch state {
        case .connecting, .halted, .sending(_, isStarved: true): return total
        case .sending(let since, isStarved: false), .receiving(let since): return min(total, plus(since, limits.idle))
        case .awaitingHead(let since): return min(total, plus(since, limits.firstByte))
        case .over: return .max
        }
    }

    /// The time-out that has run out, if one has.
    func expiry(at now: UInt64) -> Expiry? {
        guard now >= deadline else { return nil }
        guard now < plus(startedAt, limits.total) else { return .total }
        if case .awaitingHead = state { return .firstByte }
        return .idle
    }

    /// Whether the request may go out, or out again: nothing of its body is gone, and the upstream hardly saw it.
    func maySend(at now: UInt64) -> Bool {
        guard let firstSentAt else { return true }
        return !hasUploadBegun && (isIdempotent || now < plus(firstSentAt, TransferStateMachine.repeatWindow))
    }

    /// A connection stands and the client is about to write the request to it: the first time, or again because the reused
    /// connection it wrote to had been closed.
    mutating func sendBegins(at now: UInt64) -> SendVerdict {
        guard maySend(at: now) else { return .refuse }
        if firstSentAt == nil { firstSentAt = now }
        switch upload {
        case .none, .bytes: state = .awaitingHead(since: now)
        case .stream: state = .sending(since: now, isStarved: false)
        }
        return .send
    }

    /// A piece of a streamed body is gone.
    mutating func uploadMoved(at now: UInt64) {
        hasUploadBegun = true
        switch state {
        case .sending: state = .sending(since: now, isStarved: false)
        case .receiving: state = .receiving(since: now)
        case .connecting, .awaitingHead, .halted, .over: break
        }
    }

    /// A piece of a streamed body could go, and there is none.
    mutating func uploadStarved(at now: UInt64) {
        if case .sending = state { state = .sending(since: now, isStarved: true) }
    }

    mutating func uploadEnded(at now: UInt64) {
        if case .sending = state { state = .awaitingHead(since: now) }
    }

    /// The final head is complete; it may come before the upload has ended.
    mutating func headArrived(at now: UInt64) {
        switch state {
        case .connecting, .sending, .awaitingHead: state = .receiving(since: now)
        case .receiving, .halted, .over: break
        }
    }

    mutating func bytesArrived(at now: UInt64) {
        if case .receiving = state { state = .receiving(since: now) }
    }

    /// The reader does not take what has arrived.
    mutating func halted() {
        if case .receiving = state { state = .halted }
    }

    mutating func resumed(at now: UInt64) {
        if case .halted = state { state = .receiving(since: now) }
    }

    mutating func ended() { state = .over }

    private func plus(_ time: UInt64, _ span: UInt64) -> UInt64 {
        let (sum, isOver) = time.addingReportingOverflow(span)
        return isOver ? .max : sum
    }
}
