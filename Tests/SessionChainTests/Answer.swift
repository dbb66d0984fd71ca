import NIOCore
import NIOHTTP1
import TurnpikeKit

/// What a client got, brought to it as the server does: piece by piece through the response's transformers.
struct Answer: Sendable {
    var status: Int
    var headers: HTTPHeaders
    /// Everything that reached the client.
    var body = ""
    /// What had reached it before the end of the answer was released.
    var early = ""
    /// What ended a stream with an error event.
    var error: GatewayError?
    var facts: ActivityFacts

    /// The header without its counts of tokens.
    var history: String? {
        fullHistory?.split(separator: "; ").filter { !$0.hasPrefix("tokens=") && !$0.hasPrefix("budget=") }
            .joined(separator: "; ")
    }
    var fullHistory: String? { headers.first(name: "x-turnpike-history") }
    var sessionID: String? { headers.first(name: "x-session-id") }

    init(_ response: Response, in exchange: Exchange, _ call: Call) async throws {
        status = Int(response.status.code)
        headers = response.headers
        let bytes: ByteBuffer
        switch response.body {
        case .bytes(let all): bytes = all
        case .empty: bytes = ByteBuffer()
        case .stream: preconditionFailure("The scripted upstream answers with bytes.")
        }
        var pipeline = ResponsePipeline(
            response.transformers, isEventStream: response.isEventStream, budget: exchange.budget)
        var received = ByteBuffer()
        var end = ResponseEnd.complete
        do {
            for piece in call.pieces.cut(call.end.arriving(bytes)) {
                if let passed = try pipeline.receive(piece) { received.writeImmutableBuffer(passed) }
            }
            end = call.end.responseEnd
        } catch {
            end = .failed(error)
        }
        early = String(buffer: received)
        let (tail, failure) = await pipeline.finish(end)
        if let tail { received.writeImmutableBuffer(tail) }
        if case .failed(let error) = end { self.error = error } else { error = failure }
        body = String(buffer: received)
        facts = exchange.facts
    }
}

extension AnswerEnd {
    fileprivate func arriving(_ bytes: ByteBuffer) -> ByteBuffer {
        switch self {
        case .complete: bytes
        case .failed(let count), .clientLeft(let count): ByteBuffer(bytes: bytes.readableBytesView.prefix(count))
        }
    }

    fileprivate var responseEnd: ResponseEnd {
        switch self {
        case .complete: .complete
        case .failed:
            .failed(GatewayError(.upstream, .badGateway, code: "upstream_broke", "The upstream broke off."))
        case .clientLeft: .clientLeft
        }
    }
}

extension Pieces {
    fileprivate func cut(_ bytes: ByteBuffer) -> [ByteBuffer] {
        var pieces: [ByteBuffer] = []
        var piece = ByteBuffer()
        var last: UInt8 = 0
        for byte in bytes.readableBytesView {
            piece.writeInteger(byte)
            let isEnd = self == .byByte || (self == .byEvent && byte == 10 && last == 10)
            last = byte
            guard isEnd else { continue }
            pieces.append(piece)
            piece = ByteBuffer()
        }
        return piece.readableBytes > 0 ? pieces + [piece] : pieces
    }
}
