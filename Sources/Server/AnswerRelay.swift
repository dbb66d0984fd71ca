import NIOCore
import TurnpikeKit

/// Relays a streamed body: each chunk passes the transformers and goes out in one write, until the source ends, the
/// client leaves, or a transformer fails.
///
/// An event stream ends with `[DONE]`, too: an upstream that keeps its connection open behind it must not keep the client
/// waiting. What still comes is dropped, for a moment, so that the connection can be used again; then it is closed.
///
/// The head is written with the first bytes that are let through, so that a body which is held back to its end can
/// still become an error answer. Event streams, and bodies that nobody reworks, get their head at once.
final class AnswerRelay {
    private let source: any BodySource
    private unowned let exchange: ActiveExchange
    private var pipeline: ResponsePipeline?
    private let isHeadUrgent: Bool
    /// For an event stream of unknown length that nobody parses.
    private var doneWatch: DoneWatch?
    private let drainLimits: (time: TimeAmount, bytes: Int)
    private var drain: Scheduled<Void>?
    private var drainedBytes = 0
    private var waiter: CheckedContinuation<ResponseEnd, Never>?
    private var end: ResponseEnd?
    private var isPaused = false
    private var hasSourceEnded = false
    /// Set once `start` has returned.
    private var eventLoop: (any EventLoop)?
    /// Until `start` has returned, what it delivers is gathered for one write.
    private var isGathering = true

    /// - Parameters:
    ///   - isEventStream: whether the body may end with `[DONE]`.
    ///   - drainLimits: for how long, and how much, an upstream may go on behind it.
    init(
        _ source: any BodySource, through pipeline: ResponsePipeline, isEventStream: Bool,
        drainLimits: (time: TimeAmount, bytes: Int), in exchange: ActiveExchange
    ) {
        self.source = source
        self.pipeline = pipeline
        isHeadUrgent = pipeline.isEmpty || isEventStream
        doneWatch = pipeline.isEmpty && isEventStream ? DoneWatch() : nil
        self.drainLimits = drainLimits
        self.exchange = exchange
    }

    /// Runs until the body has ended, and says how. Called once.
    func run(on eventLoop: any EventLoop) async -> ResponseEnd {
        if !exchange.isClientReading { setPaused(true) }
        source.start(AnswerSink(self, on: eventLoop))
        isGathering = false
        if end == nil {
            if isHeadUrgent { exchange.openStream() }
            exchange.flush()
        }
        if let end {
            if case .complete = end, !hasSourceEnded { drainSource(on: eventLoop) }
            return end
        }
        self.eventLoop = eventLoop
        return await withCheckedContinuation { waiter = $0 }
    }

    /// The transformers, for their end. The relay is over.
    func takePipeline() -> ResponsePipeline {
        defer { pipeline = nil }
        return pipeline ?? ResponsePipeline([], isEventStream: false)
    }

    func receive(_ bytes: ByteBuffer) {
        guard end == nil else { return dropped(bytes) }
        do {
            if let passed = try transform(bytes) {
                try exchange.sendStreamed(passed)
                if !isGathering { exchange.flush() }
            }
            if isDone(with: bytes) { stopAtDone() }
        } catch {
            stop(.failed(error))
        }
    }

    func sourceEnded(_ end: BodyEnd) {
        hasSourceEnded = true
        drain?.cancel()
        drain = nil
        switch end {
        case .complete: settle(.complete)
        case .failed(let error): settle(.failed(error))
        }
    }

    /// Cancels the source and ends the relay.
    func stop(_ end: ResponseEnd) {
        guard self.end == nil else { return }
        source.cancel()
        settle(end)
    }

    /// A slow client pauses the source; what is written already is bounded by the channel's water marks.
    func setPaused(_ isPaused: Bool) {
        guard end == nil, isPaused != self.isPaused else { return }
        self.isPaused = isPaused
        source.setPaused(isPaused)
    }

    private func isDone(with bytes: ByteBuffer) -> Bool {
        doneWatch?.ends(with: bytes) ?? (pipeline?.isDone == true)
    }

    /// Within `start` the drain begins when that has returned.
    private func stopAtDone() {
        settle(.complete)
        if let eventLoop { drainSource(on: eventLoop) }
    }

    private func drainSource(on eventLoop: any EventLoop) {
        if isPaused { source.setPaused(false) }
        drain = eventLoop.assumeIsolated().scheduleTask(in: drainLimits.time) { [source] in source.cancel() }
    }

    private func dropped(_ bytes: ByteBuffer) {
        drainedBytes += bytes.readableBytes
        guard drainedBytes > drainLimits.bytes, !hasSourceEnded else { return }
        drain?.cancel()
        source.cancel()
    }

    private func transform(_ bytes: ByteBuffer) throws(GatewayError) -> ByteBuffer? {
        guard pipeline?.isEmpty == false else { return bytes }
        return try pipeline?.receive(bytes)
    }

    private func settle(_ end: ResponseEnd) {
        guard self.end == nil else { return }
        self.end = end
        waiter?.resume(returning: end)
        waiter = nil
    }
}

@available(*, unavailable)
extension AnswerRelay: Sendable {}

/// The relay as a source knows it. Sources call their sink on the exchange's loop.
private final class AnswerSink: BodySink {
    private let relay: NIOLoopBound<AnswerRelay>

    init(_ relay: AnswerRelay, on eventLoop: any EventLoop) {
        self.relay = NIOLoopBound(relay, eventLoop: eventLoop)
    }

    func receive(_ bytes: ByteBuffer) { relay.value.receive(bytes) }
    func end(_ end: BodyEnd) { relay.value.sourceEnded(end) }
}
