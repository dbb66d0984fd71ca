import DequeModule
import NIOCore
import TurnpikeKit

/// What a connection does next: parsed pieces of requests and the progress of answers in, actions out. No I/O.
///
/// A connection has at most one request in progress. What arrives before it can be handled is held, in order, and
/// while something is held that nobody is about to take the socket is not read: that bounds both a body that nobody
/// reads and pipelined requests by about one read. Otherwise reading goes on, so that a client's close is noticed
/// while its answer is still being made.
///
/// This file has the states and what arrives; `+Answer` the body's consumer and the answer, `+Connection` the rest.
struct ConnectionStateMachine {
    /// A piece of the incoming stream.
    enum Part {
        case head(ArrivedHead)
        case body(ByteBuffer)
        case end
        /// The parser gave up; nothing follows.
        case unreadable(GatewayError)
    }

    enum Action {
        case nothing
        /// A request has begun: make its exchange, or refuse it as its head says.
        case begin(ArrivedHead)
        /// Answer what is no request, then close.
        case refuse(GatewayError)
        /// The upload's consumer gets a piece, the end, or the news that there will be no end.
        case deliver(ByteBuffer)
        case deliverEnd
        case failUpload(GatewayError)
        case sendContinue
        /// The client is gone: give the exchange up.
        case abandonExchange
        /// The server stops: break the exchange off.
        case abortExchange
        /// Close now; everything that was written is flushed.
        case close
        /// Send the end of the stream, then read and drop until the client closes or its time is over.
        case linger
    }

    /// What the answer's head says about the connection.
    enum Persistence { case keepAlive, close }

    /// Which of the configuration's time-outs runs.
    enum Timeout { case head, body, keepAlive, write, linger }

    enum Phase {
        case waiting(Waiting)
        case serving(Serving)
        /// The last answer is out; what the client still sends is dropped.
        case lingering
        case closed
    }

    /// Between requests.
    enum Waiting {
        /// Nothing was received on this connection yet.
        case fresh
        /// An earlier request was answered.
        case idle
        /// A part of a head has arrived.
        case begun
    }

    struct Serving {
        var upload: Upload
        var answer = Answer.owed
        /// Whether another request may follow.
        var isPersistent: Bool
        /// Body bytes that the parser has yet to hand over; `nil` for chunked bodies.
        var remaining: Int?
        /// Whether the client still waits for `100 Continue`.
        var expectsContinue: Bool

        mutating func count(_ bytes: ByteBuffer) {
            if let known = remaining { remaining = known - bytes.readableBytes }
        }
    }

    /// The request's body.
    enum Upload {
        /// Nobody has asked for it.
        case unasked
        case flowing
        case paused
        /// Nobody wants the rest: it is dropped, up to so many bytes.
        case dropping(allowance: Int)
        /// Its end has arrived and was handled.
        case done
    }

    enum Answer {
        case owed
        /// Its head is written.
        case begun
        /// All of it is written, and not all is in the kernel yet.
        case flushing
        case ended
    }

    // Only the machine's own files touch these.
    var phase = Phase.waiting(.fresh)
    var held = Deque<Part>()
    var isDraining = false
    var isWritable = true
    /// Whether the current burst of reads brought a part.
    private var hasReadPart = false
    /// Whether a burst of reads is under way. A request that it brings begins at its end: a small body is there by then,
    /// and whoever asks for it has it at once, without a wait and a wake-up.
    private var isReading = false
    let drainedBodyBytes: Int
    /// How much was dropped behind the last answer. Beyond ``maximumLingeredBytes`` the socket is not read any more: the
    /// client may still read its answer, until the time is over.
    private(set) var lingeredBytes = 0
    static let maximumLingeredBytes = 1 << 20
    /// Counts what restarts the running time-out.
    var progress: UInt = 0
    /// Bytes of the body that have arrived since they last restarted its time-out.
    private var bytesOfPace = 0
    /// Bytes of a body that restart its time-out. If one byte did, a client could hold a connection, and what it was
    /// promised of the memory, for as long as it likes.
    static let leastPace = 1024

    init(drainedBodyBytes: Int) { self.drainedBodyBytes = drainedBodyBytes }

    // MARK: What arrives

    /// A burst of reads has begun or goes on; ``readCompleted()`` ends it.
    mutating func readBegins() { isReading = true }

    mutating func received(_ part: Part) -> Action {
        hasReadPart = true
        if held.isEmpty, !waitsForMore(part), let action = take(part) { return action }
        held.append(part)
        return .nothing
    }

    /// The next action for what is held, or `nil` when nothing of it can be handled now.
    mutating func takeHeld() -> Action? {
        guard let part = held.first, !waitsForMore(part), let action = take(part) else { return nil }
        held.removeFirst()
        return action
    }

    private func waitsForMore(_ part: Part) -> Bool {
        guard isReading, case .head = part, case .waiting = phase else { return false }
        return true
    }

    /// A burst of reads is over. Take what is held afterwards.
    mutating func readCompleted() {
        isReading = false
        defer { hasReadPart = false }
        guard !hasReadPart, case .waiting(let waiting) = phase else { return }
        switch waiting {
        case .fresh, .idle: phase = .waiting(.begun)
        case .begun: break
        }
    }

    /// `nil`: not now.
    private mutating func take(_ part: Part) -> Action? {
        switch phase {
        case .waiting: return takeWaiting(part)
        case .serving(let serving): return takeServing(part, serving)
        case .lingering:
            if case .body(let bytes) = part { lingeredBytes += bytes.readableBytes }
            return .nothing
        case .closed: return .nothing
        }
    }

    private mutating func notePace(_ count: Int) {
        bytesOfPace += count
        guard bytesOfPace >= Self.leastPace else { return }
        bytesOfPace = 0
        progress &+= 1
    }

    private mutating func takeWaiting(_ part: Part) -> Action {
        progress &+= 1
        bytesOfPace = 0
        switch part {
        case .head(let head):
            let upload = head.framing == .none ? Upload.dropping(allowance: 0) : .unasked
            phase = .serving(
                Serving(
                    upload: upload, isPersistent: head.isPersistent && !isDraining,
                    remaining: head.framing.declaredLength, expectsContinue: head.expectsContinue))
            return .begin(head)
        case .unreadable(let error): return refuse(error)
        // The parser brings no body without a head.
        case .body, .end: return .nothing
        }
    }

    private mutating func takeServing(_ part: Part, _ before: Serving) -> Action? {
        var serving = before
        switch (part, before.upload) {
        case (.head, _), (.body, .unasked), (.body, .paused), (.end, .unasked), (.end, .paused),
            (.unreadable, .unasked), (.unreadable, .paused), (.unreadable, .done):
            return nil
        case (.body(let bytes), .flowing):
            serving.count(bytes)
            notePace(bytes.readableBytes)
            phase = .serving(serving)
            return .deliver(bytes)
        case (.body(let bytes), .dropping(let allowance)):
            guard bytes.readableBytes <= allowance else { return giveUpDropping(serving) }
            serving.count(bytes)
            serving.upload = .dropping(allowance: allowance - bytes.readableBytes)
            phase = .serving(serving)
            return .nothing
        case (.end, .flowing):
            serving.upload = .done
            phase = .serving(serving)
            return .deliverEnd
        case (.end, .dropping):
            serving.upload = .done
            phase = .serving(serving)
            return settle()
        case (.unreadable(let error), .flowing):
            serving.upload = .done
            serving.isPersistent = false
            phase = .serving(serving)
            return .failUpload(error)
        case (.unreadable, .dropping): return giveUpDropping(serving)
        // The parser brings one end per head.
        case (.body, .done), (.end, .done): return .nothing
        }
    }

    /// More arrives than is worth dropping: the connection ends with this answer. `nil` while the answer is not out,
    /// which leaves the part held and so the socket unread.
    private mutating func giveUpDropping(_ serving: Serving) -> Action? {
        var serving = serving
        serving.isPersistent = false
        phase = .serving(serving)
        switch serving.answer {
        case .owed, .begun, .flushing: return nil
        case .ended: return close()
        }
    }
}
