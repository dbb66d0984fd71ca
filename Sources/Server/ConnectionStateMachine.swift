import DequeModule
import NIOCore
import TurnpikeKit

/// What a connection does next: parsed pieces of requests and the progress of answers in, actions out. No I/O.
///
/// A connection has at most one request in progress. What arrives before it can be handled is held, in order, and
/// while something is held that nobody is about to take the socket is not read: that bounds both a body that nobody
/// reads and pipelined requests by about one read. Otherwise reading goes on, so that a client's close is noticed
/// while its answer is still being made.
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

    /// Which of the configuration's time-outs runs.
    enum Timeout { case head, body, keepAlive, write, linger }

    private enum Phase {
        case waiting(Waiting)
        case serving(Serving)
        /// The last answer is out; what the client still sends is dropped.
        case lingering
        case closed
    }

    /// Between requests.
    private enum Waiting {
        /// Nothing was received on this connection yet.
        case fresh
        /// An earlier request was answered.
        case idle
        /// A part of a head has arrived.
        case begun
    }

    private struct Serving {
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
    private enum Upload {
        /// Nobody has asked for it.
        case unasked
        case flowing
        case paused
        /// Nobody wants the rest: it is dropped, up to so many bytes.
        case dropping(allowance: Int)
        /// Its end has arrived and was handled.
        case done
    }

    private enum Answer {
        case owed
        /// Its head is written.
        case begun
        /// All of it is written, and not all is in the kernel yet.
        case flushing
        case ended
    }

    private var phase = Phase.waiting(.fresh)
    private var held = Deque<Part>()
    private var isDraining = false
    private var isWritable = true
    /// Whether the current burst of reads brought a part.
    private var hasReadPart = false
    private let drainedBodyBytes: Int
    /// Counts what restarts the running time-out.
    private(set) var progress: UInt = 0

    init(drainedBodyBytes: Int) { self.drainedBodyBytes = drainedBodyBytes }

    // MARK: What arrives

    mutating func received(_ part: Part) -> Action {
        hasReadPart = true
        if held.isEmpty, let action = take(part) { return action }
        held.append(part)
        return .nothing
    }

    /// The next action for what is held, or `nil` when nothing of it can be handled now.
    mutating func takeHeld() -> Action? {
        guard let part = held.first, let action = take(part) else { return nil }
        held.removeFirst()
        return action
    }

    /// A burst of reads is over.
    mutating func readCompleted() {
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
        case .lingering, .closed: return .nothing
        }
    }

    private mutating func takeWaiting(_ part: Part) -> Action {
        progress &+= 1
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
            progress &+= 1
            phase = .serving(serving)
            return .deliver(bytes)
        case (.body(let bytes), .dropping(let allowance)):
            guard bytes.readableBytes <= allowance else { return giveUpDropping(serving) }
            serving.count(bytes)
            serving.upload = .dropping(allowance: allowance - bytes.readableBytes)
            progress &+= 1
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

    // MARK: The request's body

    /// Somebody wants the body. Take what is held afterwards.
    mutating func uploadAsked() -> Action {
        guard case .serving(var serving) = phase, case .unasked = serving.upload else { return .nothing }
        serving.upload = .flowing
        progress &+= 1
        let sends = serving.expectsContinue && held.isEmpty && serving.answer == .owed
        serving.expectsContinue = false
        phase = .serving(serving)
        return sends ? .sendContinue : .nothing
    }

    mutating func uploadPaused(_ isPaused: Bool) {
        guard case .serving(var serving) = phase else { return }
        switch serving.upload {
        case .flowing: if isPaused { serving.upload = .paused }
        case .paused: if !isPaused { serving.upload = .flowing }
        case .unasked, .dropping, .done: return
        }
        progress &+= 1
        phase = .serving(serving)
    }

    /// Nobody wants the rest of the body.
    mutating func uploadGivenUp() {
        guard case .serving(var serving) = phase else { return }
        switch serving.upload {
        case .unasked, .flowing, .paused: serving.upload = .dropping(allowance: drainedBodyBytes)
        case .dropping, .done: return
        }
        phase = .serving(serving)
    }

    // MARK: The answer

    /// The answer's head is about to be written: whether it may promise that the connection stays open.
    ///
    /// It stays if the client wants that, the body's rest is little enough to be dropped, and the server is not stopping.
    mutating func answerBegins(closes: Bool) -> Persistence {
        guard case .serving(var serving) = phase else { return .close }
        serving.answer = .begun
        if closes || isDraining || !canDropRest(of: serving) { serving.isPersistent = false }
        phase = .serving(serving)
        return serving.isPersistent ? .keepAlive : .close
    }

    enum Persistence { case keepAlive, close }

    private func canDropRest(of serving: Serving) -> Bool {
        switch serving.upload {
        case .flowing, .paused, .done: return true
        case .unasked, .dropping:
            if held.contains(where: { if case .end = $0 { true } else { false } }) { return true }
            guard let remaining = serving.remaining else { return false }
            return remaining <= drainedBodyBytes && !serving.expectsContinue
        }
    }

    mutating func answerFlushing() {
        guard case .serving(var serving) = phase else { return }
        serving.answer = .flushing
        progress &+= 1
        phase = .serving(serving)
    }

    /// All of the answer has reached the kernel. `isWhole`: its framing was completed. Take what is held afterwards.
    mutating func answerEnded(isWhole: Bool) -> Action {
        guard case .serving(var serving) = phase else { return .nothing }
        serving.answer = .ended
        if !isWhole { serving.isPersistent = false }
        switch serving.upload {
        case .unasked, .flowing, .paused: serving.upload = .dropping(allowance: drainedBodyBytes)
        case .dropping, .done: break
        }
        progress &+= 1
        phase = .serving(serving)
        return settle()
    }

    /// Goes on to the next request, or closes, once the answer is out.
    private mutating func settle() -> Action {
        guard case .serving(let serving) = phase, serving.answer == .ended else { return .nothing }
        guard serving.isPersistent else { return close() }
        if case .done = serving.upload { phase = .waiting(.idle) }
        return .nothing
    }

    /// Closes at once where the client's last bytes were read. Else the kernel would answer what is unread with a reset,
    /// which may destroy the answer on its way.
    private mutating func close() -> Action {
        var isRead = held.isEmpty
        if case .serving(let serving) = phase {
            if case .done = serving.upload {} else { isRead = false }
        }
        held.removeAll()
        progress &+= 1
        phase = isRead ? .closed : .lingering
        return isRead ? .close : .linger
    }

    private mutating func refuse(_ error: GatewayError) -> Action {
        // The rest of the stream has no meaning: it counts as a body to be dropped, so that the close lingers.
        phase = .serving(
            Serving(upload: .dropping(allowance: 0), isPersistent: false, remaining: nil, expectsContinue: false))
        return .refuse(error)
    }

    // MARK: The connection

    mutating func writabilityChanged(_ isWritable: Bool) {
        self.isWritable = isWritable
        progress &+= 1
    }

    /// The server stops: no further request. A head that has begun to arrive is still answered.
    mutating func drain() -> Action {
        isDraining = true
        guard case .waiting(let waiting) = phase else { return .nothing }
        switch waiting {
        case .fresh, .idle: return closeNow()
        case .begun: return .nothing
        }
    }

    /// The server has waited long enough.
    mutating func abort() -> Action {
        switch phase {
        case .serving(let serving):
            return serving.answer == .owed || serving.answer == .begun ? .abortExchange : closeNow()
        case .waiting, .lingering: return closeNow()
        case .closed: return .nothing
        }
    }

    /// The channel is closed, whoever closed it.
    mutating func channelClosed() -> Action {
        defer {
            phase = .closed
            held.removeAll()
        }
        guard case .serving(let serving) = phase, serving.answer != .ended else { return .nothing }
        return .abandonExchange
    }

    private mutating func closeNow() -> Action {
        phase = .closed
        held.removeAll()
        return .close
    }

    /// Whether the socket should be read.
    var wantsRead: Bool {
        switch phase {
        case .waiting, .lingering: return true
        case .closed: return false
        case .serving:
            // The whole body is here and no further request: what may come now is the client's close.
            guard let last = held.last else { return true }
            guard case .end = last else { return false }
            return !held.contains { if case .head = $0 { true } else { false } }
        }
    }

    /// The time-out that runs now, if any.
    var timeout: Timeout? {
        switch phase {
        case .waiting(let waiting):
            switch waiting {
            case .fresh, .begun: return .head
            case .idle: return .keepAlive
            }
        case .lingering: return .linger
        case .closed: return nil
        case .serving(let serving):
            if serving.answer == .flushing || !isWritable { return .write }
            switch serving.upload {
            case .flowing: return .body
            case .dropping: return serving.answer == .ended ? .body : nil
            case .unasked, .paused, .done: return nil
            }
        }
    }

    /// The running time-out is over.
    mutating func timedOut() -> Action {
        guard let timeout else { return .nothing }
        switch (timeout, phase) {
        case (.head, .waiting(.begun)): return refuse(.headTimeout)
        case (.body, .serving(var serving)) where serving.answer != .ended:
            serving.upload = .dropping(allowance: 0)
            serving.isPersistent = false
            phase = .serving(serving)
            return .failUpload(.bodyTimeout)
        case (.write, .serving):
            // The channel's end tells the exchange that the client is gone.
            return .close
        case (.head, _), (.body, _), (.keepAlive, _), (.write, _), (.linger, _): return closeNow()
        }
    }
}
