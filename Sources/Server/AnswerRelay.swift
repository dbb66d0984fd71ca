import NIOCore
import TurnpikeKit

/// Relays a streamed body: each chunk passes the transformers and goes out in one write, until the source ends, the
/// client leaves, or a transformer fails.
///
/// The head is written with the first bytes that are let through, so that a body which is held back to its end can
/// still become an error answer. Event streams, and bodies that nobody reworks, get their head at once.
final class AnswerRelay {
    private let source: any BodySource
    private unowned let exchange: ActiveExchange
    private var pipeline: ResponsePipeline?
    private let isHeadUrgent: Bool
    private var waiter: CheckedContinuation<ResponseEnd, Never>?
    private var end: ResponseEnd?
    private var isPaused = false
    /// Until `start` has returned, what it delivers is gathered for one write.
    private var isGathering = true

    init(_ source: any BodySource, through pipeline: ResponsePipeline, isHeadUrgent: Bool, in exchange: ActiveExchange)
    {
        self.source = source
        self.pipeline = pipeline
        self.isHeadUrgent = isHeadUrgent
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
        if let end { return end }
        return await withCheckedContinuation { waiter = $0 }
    }

    /// The transformers, for their end. The relay is over.
    func takePipeline() -> ResponsePipeline {
        defer { pipeline = nil }
        return pipeline ?? ResponsePipeline([], isEventStream: false)
    }

    func receive(_ bytes: ByteBuffer) {
        guard end == nil else { return }
        do {
            guard let passed = try transform(bytes) else { return }
            try exchange.sendStreamed(passed)
            if !isGathering { exchange.flush() }
        } catch {
            stop(.failed(error))
        }
    }

    func sourceEnded(_ end: BodyEnd) {
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
