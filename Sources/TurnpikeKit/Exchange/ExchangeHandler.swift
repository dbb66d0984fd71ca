package import NIOCore
import Persistence

/// What the server needs from the rest: it makes exchanges, answers them, and turns errors into answers.
package protocol ExchangeHandler: Sendable {
    /// The exchange for a head that has just arrived on `eventLoop`.
    func begin(_ head: RequestHead, peerAddress: String, on eventLoop: any EventLoop) -> Exchange
    /// The answer, errors included. Runs on the exchange's loop.
    func respond(to request: Request, in exchange: Exchange) async -> Response
    /// The answer to what never became an exchange (unreadable or over a limit), or whose answer had to be given up.
    func refusal(_ error: GatewayError, requestID: String) -> Response
    /// Told each request that gets no exchange because the server has enough to do. It must not block.
    func turnedAway(_ head: RequestHead, with error: GatewayError)
    /// What ends a stream of server-sent events that has broken: an `error` event.
    func streamFailure(_ error: GatewayError, requestID: String) -> ByteBuffer
}

extension ExchangeHandler {
    package func turnedAway(_ head: RequestHead, with error: GatewayError) {}

    /// The id of a request that gets no exchange, in the form of ``Exchange/requestID``.
    package func makeRequestID() -> String { UniqueID.generate().description(prefix: "req_") }
}
