import NIOCore
import NIOHTTP1
import TurnpikeKit

/// An exchange while its connection works on it: one task that asks the chain for the answer, brings it to the client,
/// lets the transformers end, and calls the finishers exactly once.
///
/// Only the waiting for the chain is cancelled when the client leaves. From then on the source of the answer is, and
/// what the transformers do at the end, such as committing a turn, always runs to its own end.
final class ActiveExchange {
    private enum Stage {
        /// The chain works on the answer.
        case responding
        /// The body streams.
        case relaying(AnswerRelay)
        /// The transformers end, the last bytes are written.
        case ending
        case over
    }

    private enum Interruption {
        case clientLeft
        case aborted(GatewayError)
    }

    let upload: ClientUpload
    private let exchange: Exchange
    private let head: ArrivedHead
    private let connection: ConnectionHandler
    private let handler: any ExchangeHandler
    private var stage = Stage.responding
    private var task: ExchangeTask?
    private var interruption: Interruption?
    private var answer: StreamedAnswer?
    private var status = 0
    private var responseBytes = 0
    private var firstByteNanoseconds: UInt64?

    init(_ exchange: Exchange, head: ArrivedHead, on connection: ConnectionHandler) {
        self.exchange = exchange
        self.head = head
        self.connection = connection
        handler = connection.server.handler
        upload = ClientUpload(
            of: connection, declaredLength: head.framing.declaredLength,
            limit: connection.server.configuration.limits.bodyBytes)
    }

    // MARK: What the connection tells

    /// Begins the work. The chain's first steps run before this returns.
    func start() {
        let task = executor.tasks.value.run(self, on: executor)
        guard case .responding = stage else { return }
        self.task = task
        if interruption != nil { task.cancel() }
    }

    func clientLeft() {
        guard interruption == nil else { return }
        interruption = .clientLeft
        upload.fail(.clientLeft)
        interrupt(.clientLeft)
    }

    func abort(_ error: GatewayError) {
        guard interruption == nil else { return }
        interruption = .aborted(error)
        interrupt(.failed(error))
    }

    func writabilityChanged(_ isWritable: Bool) {
        guard case .relaying(let relay) = stage else { return }
        relay.setPaused(!isWritable)
    }

    private func interrupt(_ end: ResponseEnd) {
        switch stage {
        case .responding: task?.cancel()
        case .relaying(let relay): relay.stop(end)
        case .ending, .over: break
        }
    }

    // MARK: The answer

    private var executor: LoopExecutor { connection.executor }

    /// Asks the chain and answers. The task that runs this is cancelled while the chain is at work, or not at all.
    func run() async {
        let response = await handler.respond(to: makeRequest(), in: exchange)
        stage = .ending
        task = nil
        switch response.body {
        case .empty: await answerWhole(response, ByteBuffer())
        case .bytes(let bytes): await answerWhole(response, bytes)
        case .stream(let source): await answerStream(response, source)
        }
    }

    private func makeRequest() -> Request {
        guard head.framing != .none else { return Request(head: head.request) }
        let body = RequestBody(
            source: ClientBody(upload, on: executor.eventLoop), declaredLength: head.framing.declaredLength,
            budget: connection.server.budget)
        return Request(head: head.request, body: body)
    }

    /// A body that is in memory: the transformers see it and end before anything is written, so their failure can
    /// still become an error answer.
    private func answerWhole(_ response: Response, _ bytes: ByteBuffer) async {
        var pipeline = pipeline(of: response)
        guard interruption == nil else { return await giveUp(pipeline) }
        guard !pipeline.isEmpty else { return send(response, bytes) }
        var whole = ByteBuffer()
        var end = ResponseEnd.complete
        do {
            if let passed = try pipeline.receive(bytes) { whole = passed }
        } catch {
            end = .failed(error)
        }
        let tail = await finish(pipeline, end)
        if let left = interruption { return finishInterrupted(left) }
        if case .failed(let error) = end { return refuse(error) }
        if let error = tail.error { return refuse(error) }
        if let bytes = tail.bytes { whole.writeImmutableBuffer(bytes) }
        send(response, whole)
    }

    private func pipeline(of response: Response) -> ResponsePipeline {
        ResponsePipeline(
            response.transformers, isEventStream: response.isEventStream, budget: connection.server.budget)
    }

    private func answerStream(_ response: Response, _ source: any BodySource) async {
        let pipeline = pipeline(of: response)
        guard interruption == nil else {
            source.cancel()
            return await giveUp(pipeline)
        }
        answer = StreamedAnswer(response, isReworked: !pipeline.isEmpty)
        let limits = connection.server.configuration
        let relay = AnswerRelay(
            source, through: pipeline, isEventStream: response.isEventStream,
            drainLimits: (limits.timeouts.afterDone, limits.limits.drainedBodyBytes), in: self)
        stage = .relaying(relay)
        let end = await relay.run(on: executor.eventLoop)
        stage = .ending
        let tail = await finish(relay.takePipeline(), end)
        switch end {
        case .complete: if let error = tail.error { endBroken(error, tail.bytes) } else { endWhole(tail.bytes) }
        case .failed(let error): endBroken(error, tail.bytes)
        case .clientLeft: over(.clientLeft)
        }
    }

    /// Ends the transformers in a task that is not cancelled: they store what the client has received.
    private func finish(_ pipeline: ResponsePipeline, _ end: ResponseEnd) async -> (
        bytes: ByteBuffer?, error: GatewayError?
    ) {
        guard !pipeline.isEmpty else { return (nil, nil) }
        guard Task.isCancelled else {
            var pipeline = pipeline
            return await pipeline.finish(end)
        }
        return await Task(executorPreference: executor) {
            var pipeline = pipeline
            return await pipeline.finish(end)
        }.value
    }

    /// The client left, or the server stopped, while the chain was at work: its answer is not sent.
    private func giveUp(_ pipeline: ResponsePipeline) async {
        guard let interruption else { return }
        switch interruption {
        case .clientLeft: _ = await finish(pipeline, .clientLeft)
        case .aborted(let error): _ = await finish(pipeline, .failed(error))
        }
        finishInterrupted(interruption)
    }

    private func finishInterrupted(_ interruption: Interruption) {
        switch interruption {
        case .clientLeft: over(.clientLeft)
        case .aborted(let error): send(handler.refusal(error, requestID: exchange.requestID), ending: .failed(error))
        }
    }

    // MARK: Writing

    var isClientReading: Bool { connection.isWritable }

    /// Writes the head of a streamed answer, if it is not written yet.
    func openStream() {
        guard let answer, !answer.isOpen else { return }
        open(answer.response, answer.length)
        self.answer?.isOpen = true
    }

    /// Writes a piece of a streamed answer; throws when it is more than was promised.
    func sendStreamed(_ bytes: ByteBuffer) throws(GatewayError) {
        try answer?.count(bytes.readableBytes)
        openStream()
        sendBody(bytes)
    }

    func flush() { connection.flushAnswer() }

    private func open(_ response: Response, _ length: ConnectionHandler.AnswerLength) {
        status = Int(response.status.code)
        framing = connection.openAnswer(response, length: length, to: head, requestID: exchange.requestID)
    }

    private var framing = AnswerFraming.bodyless

    private func sendBody(_ bytes: ByteBuffer) {
        guard framing != .bodyless, bytes.readableBytes > 0 else { return }
        if firstByteNanoseconds == nil { firstByteNanoseconds = elapsed }
        responseBytes += bytes.readableBytes
        connection.sendAnswer(bytes)
    }

    /// Sends an answer in one write.
    private func send(_ response: Response, _ bytes: ByteBuffer) {
        open(response, .known(bytes.readableBytes))
        sendBody(bytes)
        close(isWhole: true, response.error.map { .refused($0) } ?? .completed)
    }

    private func send(_ refusal: Response, ending: Outcome.Ending) {
        var bytes = ByteBuffer()
        if case .bytes(let body) = refusal.body { bytes = body }
        open(refusal, .known(bytes.readableBytes))
        sendBody(bytes)
        close(isWhole: true, ending)
    }

    private func refuse(_ error: GatewayError) {
        send(handler.refusal(error, requestID: exchange.requestID), ending: .refused(error))
    }

    private func endWhole(_ tail: ByteBuffer?) {
        guard let answer else { return }
        // Everything was held back to the end: the length is known after all.
        guard answer.isOpen || head.isHEAD else { return send(answer.response, tail ?? ByteBuffer()) }
        openStream()
        do {
            if let tail { try sendStreamed(tail) }
            if framing != .bodyless { try self.answer?.complete() }
        } catch {
            return endBroken(error, nil)
        }
        close(isWhole: true, answer.response.error.map { .refused($0) } ?? .completed)
    }

    /// The body broke off. Before its head is out that is an error answer like any other; afterwards an event stream says
    /// so in its own words, and in any case the body's framing stays open, so that no client takes it for the whole.
    private func endBroken(_ error: GatewayError, _ tail: ByteBuffer?) {
        guard let answer else { return }
        guard answer.isOpen else {
            if case .aborted(let reason)? = interruption { return finishInterrupted(.aborted(reason)) }
            return refuse(error)
        }
        switch framing {
        case .bodyless, .length: break
        case .chunked, .untilClose:
            if let tail { sendBody(tail) }
            if answer.response.isEventStream { sendBody(eventStreamFailure(error)) }
        }
        close(isWhole: false, .failed(error))
    }

    /// The upstream may have stopped within an event. A blank line ends that one, so that it does not swallow the error;
    /// between two events it means nothing.
    private func eventStreamFailure(_ error: GatewayError) -> ByteBuffer {
        var bytes = ByteBuffer(string: "\n\n")
        bytes.writeImmutableBuffer(handler.streamFailure(error, requestID: exchange.requestID))
        return bytes
    }

    private func close(isWhole: Bool, _ ending: Outcome.Ending) {
        connection.endAnswer(isWhole: isWhole) { [self] result in
            switch result {
            case .success: over(ending)
            case .failure: over(.clientLeft)
            }
        }
    }

    private var elapsed: UInt64 { exchange.clock.monotonicNanoseconds() &- exchange.startedNanoseconds }

    private func over(_ ending: Outcome.Ending) {
        if case .over = stage { return }
        stage = .over
        answer = nil
        exchange.finish(
            Outcome(
                ending: ending, status: status, requestBytes: upload.receivedBytes, responseBytes: responseBytes,
                firstByteNanoseconds: firstByteNanoseconds, totalNanoseconds: elapsed))
        upload.detach()
        connection.exchangeIsOver()
    }
}

@available(*, unavailable)
extension ActiveExchange: Sendable {}
