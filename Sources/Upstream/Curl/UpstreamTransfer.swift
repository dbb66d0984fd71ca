import NIOCore
import NIOHTTP1
import Synchronization
import TurnpikeKit

/// One request and its answer, shared by the event loop and the curl thread.
///
/// The event loop delivers through it to whoever waits; the curl thread asks it whether bytes may be taken. Both sides
/// act outside the locks.
final class UpstreamTransfer: Sendable {
    typealias Waiter = CheckedContinuation<Response, any Error>

    let request: PreparedRequest
    let upload: UploadPipe?
    private let shard: CurlShard
    private let flow = Mutex(FlowControl())
    private let answer = Mutex(AnswerStateMachine<Waiter>())

    init(_ request: PreparedRequest, upload: UploadPipe?, shard: CurlShard) {
        self.request = request
        self.upload = upload
        self.shard = shard
    }

    // MARK: Who waits for the answer

    /// Sends the request and waits for the head of the answer.
    func response() async throws -> Response {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { waiter in
                perform(answer.withLock { $0.wait(waiter) })
            }
        } onCancel: {
            cancel(.clientLeft)
        }
    }

    /// Gives up; whoever waits for the head is told `error`.
    func cancel(_ error: GatewayError) {
        let (step, upstream) = answer.withLock { $0.cancel(error) }
        if upstream == .close { shard.post(.cancel(self)) }
        if let upload { shard.onLoop { upload.close() } }
        perform(step)
    }

    /// The request's body failed: that is what the answer's receiver is told, and the upstream connection is closed.
    private func uploadFailed(_ error: GatewayError) {
        shard.post(.cancel(self))
        fail(error)
    }

    /// The transfer ends with `error`, wherever it is.
    func fail(_ error: GatewayError) {
        shard.eventLoop.execute { self.deliver(Delivery(to: self, end: .failed(error))) }
    }

    // MARK: Who reads the body; on the event loop

    func start(_ sink: any BodySink) {
        let held = answer.withLock { $0.start(sink) }
        if let bytes = held.bytes {
            sink.receive(bytes)
            consumed(bytes.readableBytes)
        }
        if let end = held.end { perform(answer.withLock { $0.arrived(end) }) }
    }

    func setPaused(_ isPaused: Bool) {
        if flow.withLock({ $0.setPaused(isPaused) }) == .resume { shard.post(.resume(self)) }
    }

    /// What the curl thread has for this transfer.
    func deliver(_ delivery: Delivery) {
        if let head = delivery.head {
            perform(answer.withLock { $0.arrived(head, delivery.bytes, delivery.end) })
        } else {
            if let bytes = delivery.bytes { perform(answer.withLock { $0.arrived(bytes) }) }
            if let end = delivery.end { perform(answer.withLock { $0.arrived(end) }) }
        }
        if delivery.uploadHasRoom { upload?.resumeSource() }
        if delivery.end != nil { upload?.close() }
    }

    // MARK: The curl thread

    /// Whether `count` bytes of the answer may be taken now.
    func offered(_ count: Int) -> FlowControl.Verdict { flow.withLock { $0.offered(count) } }

    // MARK: Steps

    private func perform(_ step: AnswerStateMachine<Waiter>.Step) {
        switch step {
        case .none: break
        case .submit: submit()
        case .answer(let waiter, let answer): waiter.resume(returning: response(from: answer))
        case .reject(let waiter, let error): waiter.resume(throwing: error)
        case .receive(let sink, let bytes):
            sink.receive(bytes)
            consumed(bytes.readableBytes)
        case .end(let sink, let end): sink.end(end)
        }
    }

    private func submit() {
        shard.post(.submit(self))
        guard let upload else { return }
        let link = UploadPipe.Link(
            wake: { self.shard.post(.feed(self)) },
            fail: { self.uploadFailed($0) })
        shard.onLoop { upload.start(link) }
    }

    private func consumed(_ count: Int) {
        if flow.withLock({ $0.delivered(count) }) == .resume { shard.post(.resume(self)) }
    }

    private func response(from answer: AnswerStateMachine<Waiter>.Answer) -> Response {
        let body: ResponseBody =
            switch answer.content {
            case .empty: .empty
            case .whole(let bytes): .bytes(bytes)
            case .streaming: .stream(UpstreamBody(self, on: shard))
            }
        return Response(
            status: HTTPResponseStatus(statusCode: answer.head.status), headers: answer.head.headers, body: body)
    }
}

/// What one tick of the curl thread produced for one transfer.
struct Delivery: Sendable {
    let transfer: UpstreamTransfer
    var head: ResponseHead?
    var bytes: ByteBuffer?
    var end: BodyEnd?
    var uploadHasRoom = false

    init(to transfer: UpstreamTransfer, end: BodyEnd? = nil) {
        self.transfer = transfer
        self.end = end
    }
}
