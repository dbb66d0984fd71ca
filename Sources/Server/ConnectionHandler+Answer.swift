import Logging
import NIOCore
import NIOHTTP1
import TurnpikeKit

/// Writing answers, for the exchange in progress and for requests that get none.
extension ConnectionHandler {
    /// What is known about a body's length when its head is written.
    enum AnswerLength {
        case known(Int)
        case unknown
    }

    /// Writes the head of `response`, not yet to the network, and says how its body is framed.
    func openAnswer(
        _ response: Response, length: AnswerLength, to request: ArrivedHead?, requestID: String, closes: Bool = false
    ) -> AnswerFraming {
        let isHTTP10 = request?.version == .http1_0
        let framing = framing(of: response, length: length, isHEAD: request?.isHEAD ?? false, isHTTP10: isHTTP10)
        let persistence = machine.answerBegins(closes: closes || framing == .untilClose)
        var headers = response.headers
        if framing == .bodyless { announceLength(length, of: response, in: &headers) }
        server.configuration.cors?.apply(to: &headers, origin: request?.request.headers.first(name: "origin"))
        let head = AnswerHead(
            status: response.status, headers: headers, framing: framing, persistence: persistence, isHTTP10: isHTTP10,
            requestID: requestID, date: executor.date.value.value())
        if case .known(let count) = length { writer.open(head, reserving: count) } else { writer.open(head) }
        return framing
    }

    private func framing(of response: Response, length: AnswerLength, isHEAD: Bool, isHTTP10: Bool) -> AnswerFraming {
        if isHEAD || response.status == .noContent || response.status == .notModified { return .bodyless }
        switch length {
        case .known(let count): return .length(count)
        case .unknown: return isHTTP10 ? .untilClose : .chunked
        }
    }

    /// The length that a bodyless answer announces: what GET would have (RFC 9110, section 8.6); with 204, none.
    private func announceLength(_ length: AnswerLength, of response: Response, in headers: inout HTTPHeaders) {
        if response.status == .noContent { return headers.remove(name: "content-length") }
        guard case .known(let count) = length, count > 0 else { return }
        headers.replaceOrAdd(name: "Content-Length", value: "\(count)")
    }

    /// Adds a piece of the body; ``flushAnswer()`` sends it.
    func sendAnswer(_ bytes: ByteBuffer) {
        guard let context else { return }
        writer.append(bytes) { context.write(wrapOutboundOut($0), promise: nil) }
    }

    func flushAnswer() {
        guard let context else { return }
        if let pending = writer.takePending() { context.write(wrapOutboundOut(pending), promise: nil) }
        flushSoon()
    }

    /// Ends the answer, whole or broken off, and goes on once all of it has reached the kernel.
    ///
    /// `then` is called exactly once: with success, or with a failure when the client was gone before.
    func endAnswer(isWhole: Bool, then: @escaping (Result<Void, any Error>) -> Void) {
        guard let context else { return then(.failure(ChannelError.ioOnClosedChannel)) }
        if isWhole { writer.end() }
        machine.answerFlushing()
        let flushed = context.eventLoop.makePromise(of: Void.self)
        flushed.futureResult.assumeIsolated().whenComplete { [self] result in
            then(result)
            switch result {
            case .success: run(machine.answerEnded(isWhole: isWhole))
            // The channel's end follows, or came before.
            case .failure: break
            }
        }
        context.write(wrapOutboundOut(writer.takePending() ?? ByteBuffer()), promise: flushed)
        flushSoon()
        run(.nothing)
    }

    /// An error in the envelope, with an id of its own.
    func refusal(_ error: GatewayError) -> Response {
        let requestID = server.handler.makeRequestID()
        server.logger.debug(
            "A request was refused.",
            metadata: ["request_id": "\(requestID)", "error": "\(String(reflecting: error))"])
        var response = server.handler.refusal(error, requestID: requestID)
        response.headers.replaceOrAdd(name: "x-turnpike-request-id", value: requestID)
        return response
    }

    /// Answers what gets no exchange.
    func answerDirectly(_ response: Response, to request: ArrivedHead?, closes: Bool = false) {
        var body = ByteBuffer()
        if case .bytes(let bytes) = response.body { body = bytes }
        _ = openAnswer(
            response, length: .known(body.readableBytes), to: request,
            requestID: response.headers.first(name: "x-turnpike-request-id") ?? server.handler.makeRequestID(),
            closes: closes)
        sendAnswer(body)
        endAnswer(isWhole: true) { _ in }
    }
}
