import Conversations
import Logging
import NIOCore
import NIOHTTP1
import OpenAIWire
import TurnpikeKit

/// Follows a streamed answer and stores it before its end is released.
///
/// Events pass as they came. From the one on that clients stop at (the last finish reason, an error, `[DONE]`) they are
/// withheld, at most ``maximumHeldBytes``, until the turn is committed. Keeps at most `limit` bytes of the answer; what is
/// kept counts against `server.max_buffered`, twice, because at the end the message is made of it.
struct StreamCapture: ResponseTransformer {
    /// What may follow a finish reason: a usage chunk, `[DONE]`, comments that keep the connection alive.
    static let maximumHeldBytes = 1 << 20
    /// What an event takes beside its bytes: a blank line is an event too, and a million of them are not one megabyte.
    private static let eventCost = 128

    let subscription = ResponseSubscription.events
    private let committer: TurnCommitter
    private let limit: Int
    /// Whether usage was asked for on the client's behalf, and is taken out again.
    private let hidesUsage: Bool
    private var answer: DeltaAccumulator
    private var held: [ServerSentEvent] = []
    private var heldBytes = 0
    private var isHolding = false
    private let reservation: BufferReservation
    /// Up to how many bytes of the answer the spool has room.
    private var roomBytes = 0
    private var isRepaired = false

    /// - Parameters:
    ///   - limit: how many bytes of the answer are kept at most.
    ///   - choices: the request's `n`.
    init(_ committer: TurnCommitter, limit: Int, choices: Int, hidesUsage: Bool) {
        self.committer = committer
        self.limit = limit
        self.hidesUsage = hidesUsage
        answer = DeltaAccumulator(limit: limit, expectedChoices: choices)
        reservation = committer.exchange.reservation()
    }

    mutating func onEvent(_ event: ServerSentEvent) throws(GatewayError) -> EventAction {
        guard let data = event.data else { return try release(event, isChanged: false) }
        if event.isDone {
            isHolding = true
            return try release(event, isChanged: false)
        }
        let facts = try take(data)
        try reservation.cover(2 * answer.keptBytes + heldBytes)
        if answer.keptBytes > roomBytes { roomBytes = try committer.cover(answer: answer.keptBytes) }
        if facts.finishes || facts.hasError { isHolding = true }
        guard hidesUsage else { return try release(event, isChanged: false) }
        guard let shown = UsageAsking.shown(event, isUsageOnly: facts.isUsageOnly) else { return .withhold }
        return try release(shown, isChanged: shown.raw.readableBytes != event.raw.readableBytes)
    }

    mutating func onEnd(_ end: ResponseEnd) async throws -> ResponseTail {
        if let usage = answer.usage { committer.exchange.note { $0.usage = usage } }
        if let captured = try await takeAnswer(end.interruption) {
            try await committer.commit(captured)
        } else if case .complete = end {
            committer.exchange.note { $0.captureStatus = CaptureSkip.status }
        }
        return held.isEmpty ? .nothing : .events(held)
    }

    /// What is to be stored; the pieces that it was made of are gone then.
    private mutating func takeAnswer(_ interruption: TurnStatus) async throws -> CapturedAnswer? {
        let whole = answer
        answer = DeltaAccumulator(limit: 0)
        var captured = try await BodyWork.run(on: whole.keptBytes) {
            CapturedAnswer(whole, interruption: interruption)
        }
        captured?.isRepaired = isRepaired
        return captured
    }

    /// Adds a chunk to the answer. What is no JSON is no part of it, and passes; what is no UTF-8 is stored as clients
    /// show it.
    private mutating func take(_ data: ByteBuffer) throws(GatewayError) -> DeltaAccumulator.ChunkFacts {
        do {
            return try answer.add(data)
        } catch {
            if error.exceedsLimit { throw .answerTooLarge(limit: limit) }
            if error.position != nil {
                guard let repaired = data.repaired else { return DeltaAccumulator.ChunkFacts() }
                isRepaired = true
                return try take(repaired)
            }
            throw GatewayError(
                .upstream, .badGateway, code: "upstream_protocol_error",
                "The upstream's chunks cannot be put together.", detail: "\(error)", retry: .unsafe)
        }
    }

    private mutating func release(_ event: ServerSentEvent, isChanged: Bool) throws(GatewayError) -> EventAction {
        guard isHolding else { return isChanged ? .replace([event]) : .pass }
        heldBytes += event.raw.readableBytes + Self.eventCost
        try reservation.cover(2 * answer.keptBytes + heldBytes)
        guard heldBytes <= Self.maximumHeldBytes else {
            throw GatewayError(
                .upstream, .badGateway, code: "upstream_protocol_error",
                "The upstream goes on after the end of its answer.", retry: .unsafe)
        }
        held.append(event)
        return .withhold
    }
}

extension ResponseEnd {
    /// What an answer without a finish reason became.
    fileprivate var interruption: TurnStatus {
        switch self {
        case .complete: .upstreamError
        // The client gets no more of it than if it had left, and may send its request again as then.
        case .failed(let error) where error.code == GatewayError.serverShuttingDown.code: .cancelled
        case .failed(let error):
            ["answer_too_large", "server_overloaded", "spool_full"].contains(error.code) ? .incomplete : .upstreamError
        case .clientLeft: .cancelled
        }
    }
}
