import NIOCore
import NIOHTTP1
import TurnpikeKit

/// One request and its answer, between the connection that carries them and whoever waits. Lives on the event loop.
final class PlainTransfer {
    typealias Waiter = CheckedContinuation<Response, any Error>

    private(set) var request: PlainRequest
    /// Its place among the loop's open transfers.
    var slot = 0
    /// Bound, because a transfer may be made elsewhere.
    private let boundLoop: NIOLoopBoundBox<PlainLoop>
    private var connection: PlainConnection?
    private var machine: TransferStateMachine
    private var answer = AnswerStateMachine<Waiter>()
    private var flow = FlowControl()
    private var upload: (source: any BodySource, progress: UploadProgress)?
    private var isSourcePaused = false
    /// What one burst of reads brought, for one delivery.
    private var gathered: (head: ResponseHead?, bytes: ByteBuffer?) = (nil, nil)

    init(_ request: PlainRequest, uploading source: (any BodySource)?, on loop: NIOLoopBoundBox<PlainLoop>) {
        self.request = request
        boundLoop = loop
        upload = source.map { ($0, UploadProgress(length: request.streamLength)) }
        machine = TransferStateMachine(
            limits: request.limits, upload: request.upload, isIdempotent: request.isIdempotent,
            now: GatewayClock.monotonicNow)
    }

    private var loop: PlainLoop { boundLoop.value }

    // MARK: Who waits for the answer

    /// The response's head goes to `waiter`, or what went wrong.
    func begin(_ waiter: Waiter) { perform(answer.wait(waiter)) }

    /// Gives up and closes the connection; whoever waits for the head is told `error`.
    func cancel(_ error: GatewayError) {
        let (step, upstream) = answer.cancel(error)
        if upstream == .close { leave() }
        perform(step)
    }

    func start(_ sink: any BodySink) {
        let held = answer.start(sink)
        if let bytes = held.bytes {
            sink.receive(bytes)
            consumed(bytes.readableBytes)
        }
        if let end = held.end { perform(answer.arrived(end)) }
    }

    func setPaused(_ isPaused: Bool) {
        _ = flow.setPaused(isPaused)
        if !isPaused { connection?.readOn() }
    }

    // MARK: What the connection tells

    /// The connection stands, new or used before.
    func connected(_ connection: PlainConnection) {
        guard machine.sendBegins(at: GatewayClock.monotonicNow) == .send else {
            connection.close()
            return finish(.failed(.upstreamConnectionFailed(PlainTransfer.notRepeated, retry: .unsafe)))
        }
        self.connection = connection
        loop.expect(machine.deadline)
        connection.carry(self)
        if self.connection === connection { startUpload() }
    }

    func connectionBroke(_ reason: String, mayRepeat: Bool) {
        connection = nil
        if mayRepeat, machine.maySend(at: GatewayClock.monotonicNow) { return loop.connect(self) }
        finish(.failed(.upstreamConnectionFailed(reason, retry: machine.mayHaveBeenSeen ? .unsafe : .safe)))
    }

    func arrived(_ head: ResponseHead) {
        machine.headArrived(at: GatewayClock.monotonicNow)
        gathered.head = head
    }

    func arrived(_ bytes: ByteBuffer) {
        flow.taken(bytes.readableBytes)
        guard gathered.bytes == nil else {
            gathered.bytes?.writeImmutableBuffer(bytes)
            return
        }
        gathered.bytes = bytes
    }

    /// A burst of reads is over.
    func deliver() {
        if gathered.bytes != nil { machine.bytesArrived(at: GatewayClock.monotonicNow) }
        loop.expect(machine.deadline)
        hand(on: nil)
    }

    /// The transfer ends, well or not. The connection is not touched.
    func finish(_ end: BodyEnd) {
        guard leaveLoop() == .left else { return }
        hand(on: end)
        endUpload()
    }

    /// A time-out ran out, or the client stops.
    func fail(_ error: GatewayError) {
        connection?.abandon()
        finish(.failed(error))
    }

    var mayRead: Bool { flow.mayTake }
    func readsNoMore() { machine.halted() }
    func readsOn() {
        machine.resumed(at: GatewayClock.monotonicNow)
        loop.expect(machine.deadline)
    }

    /// Whether all of the request was handed to the connection.
    var isSent: Bool { upload?.progress.hasEnded ?? true }
    /// Whether the request is larger than any socket takes at once.
    var mayBeInTransit: Bool { upload != nil || request.largeBody != nil }

    // MARK: Time

    var deadline: UInt64 { machine.deadline }

    func expire(at now: UInt64) {
        guard let expiry = machine.expiry(at: now) else { return }
        fail(UpstreamFailure.error(expiry, mayHaveBeenSeen: machine.mayHaveBeenSeen))
    }

    // MARK: Steps

    private static let notRepeated = "the connection was closed before the answer"

    private enum Leaving { case left, wasOver }

    /// Takes the transfer from the loop, once.
    private func leaveLoop() -> Leaving {
        guard loop.remove(self) else { return .wasOver }
        machine.ended()
        connection = nil
        loop.heads.give(request.takeHead())
        return .left
    }

    private func leave() {
        let connection = connection
        guard leaveLoop() == .left else { return }
        connection?.abandon()
        endUpload()
    }

    private func hand(on end: BodyEnd?) {
        let (head, bytes) = gathered
        gathered = (nil, nil)
        if let head {
            perform(answer.arrived(head, bytes, end))
        } else {
            if let bytes { perform(answer.arrived(bytes)) }
            if let end { perform(answer.arrived(end)) }
        }
    }

    private func perform(_ step: AnswerStateMachine<Waiter>.Step) {
        switch step {
        case .none: break
        case .submit: loop.submit(self)
        case .answer(let waiter, let answer): waiter.resume(returning: response(from: answer))
        case .reject(let waiter, let error): waiter.resume(throwing: error)
        case .receive(let sink, let bytes):
            sink.receive(bytes)
            consumed(bytes.readableBytes)
        case .end(let sink, let end): sink.end(end)
        }
    }

    private func consumed(_ count: Int) {
        _ = flow.delivered(count)
        connection?.readOn()
    }

    private func response(from answer: AnswerStateMachine<Waiter>.Answer) -> Response {
        let body: ResponseBody =
            switch answer.content {
            case .empty: .empty
            case .whole(let bytes): .bytes(bytes)
            case .streaming: .stream(PlainBody(self, on: loop.eventLoop))
            }
        return Response(
            status: HTTPResponseStatus(statusCode: answer.head.status), headers: answer.head.headers, body: body)
    }
}

/// The request's body, where it is streamed.
extension PlainTransfer {
    /// Begins to read the source. What it has already may be through when this returns.
    private func startUpload() {
        guard upload != nil else { return }
        // From here on pieces may be gone: the request is not sent again.
        machine.uploadMoved(at: GatewayClock.monotonicNow)
        upload?.progress.start()
        upload?.source.start(PlainUpload(self, on: loop.eventLoop))
        uploadStands()
    }

    func uploadArrived(_ bytes: ByteBuffer) {
        switch upload?.progress.received(bytes.readableBytes) {
        case .send:
            if request.streamLength == nil { sendChunk(bytes) } else { connection?.send(bytes) }
            uploadStands()
        case .broken: uploadBroke()
        case .finish, .ignore, nil: break
        }
    }

    func uploadEnded(_ end: BodyEnd) {
        guard case .complete = end else {
            if case .failed(let error) = end, upload?.progress.ended() != .ignore { fail(error) }
            return
        }
        switch upload?.progress.ended() {
        case .finish:
            machine.uploadEnded(at: GatewayClock.monotonicNow)
            loop.expect(machine.deadline)
            if request.streamLength == nil { connection?.send(ByteBuffer(staticString: "0\r\n\r\n")) }
        case .broken: uploadBroke()
        case .send, .ignore, nil: break
        }
    }

    /// The socket takes bytes, or none for now; the source is held back accordingly.
    func writabilityChanged(_ isWritable: Bool) { uploadStands() }

    private func uploadStands() {
        guard let upload, let connection, !upload.progress.hasEnded else { return }
        let isWritable = connection.isWritable
        machine.uploadMoved(at: GatewayClock.monotonicNow)
        if isWritable { machine.uploadStarved(at: GatewayClock.monotonicNow) }
        loop.expect(machine.deadline)
        guard isSourcePaused == isWritable else { return }
        isSourcePaused = !isWritable
        upload.source.setPaused(isSourcePaused)
    }

    private func sendChunk(_ bytes: ByteBuffer) {
        let size = ByteBuffer(string: String(bytes.readableBytes, radix: 16) + "\r\n")
        connection?.send(size, bytes, ByteBuffer(staticString: "\r\n"))
    }

    private func uploadBroke() {
        fail(.badRequest("request_body_incomplete", "The request's body is not as long as it was promised to be."))
    }

    /// The transfer is over: a source that has more is given up.
    private func endUpload() {
        guard let upload else { return }
        self.upload = nil
        if !upload.progress.hasEnded { upload.source.cancel() }
    }
}

@available(*, unavailable)
extension PlainTransfer: Sendable {}
