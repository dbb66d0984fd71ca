import NIOCore
import NIOHTTP1
import Synchronization
import TurnpikeKit
import TurnpikeRuntime

/// Hands requests to the gateway as the server does, on one event loop, and brings its answers through their transformers.
struct InProcessClient: TestClient {
    let gateway: Gateway
    let executor: TestLoopExecutor
    let budget: BufferBudget

    func send(_ request: TestRequest) async throws -> TestAnswer {
        await withTaskExecutorPreference(executor) { await answer(request) }
    }

    @concurrent private func answer(_ call: TestRequest) async -> TestAnswer {
        let head = RequestHead(method: call.method, target: call.target, headers: call.complete)
        let exchange = gateway.begin(head, peerAddress: "127.0.0.1", on: executor.eventLoop)
        let body = ScriptedBody([ByteBuffer(string: call.body)], end: .complete)
        let request = Request(
            head: head, body: RequestBody(source: body, declaredLength: call.body.utf8.count, budget: budget))
        let response = await gateway.respond(to: request, in: exchange)
        var answer = TestAnswer(
            status: Int(response.status.code), headers: response.headers, body: ByteBuffer(), isComplete: true)
        answer.headers.replaceOrAdd(name: "x-turnpike-request-id", value: exchange.requestID)
        let end: ResponseEnd
        if call.leavesAtHead {
            end = .clientLeft
            if case .stream(let source) = response.body { source.cancel() }
            var pipeline = response.pipeline(budget)
            _ = await pipeline.finish(.clientLeft)
        } else {
            end = await deliver(response, to: &answer.body, in: exchange)
        }
        if case .complete = end {} else { answer.isComplete = false }
        exchange.finish(
            Outcome(
                ending: Self.ending(end, response.error), status: answer.status, requestBytes: call.body.utf8.count,
                responseBytes: answer.body.readableBytes))
        return answer
    }

    /// Brings a body to the client. What breaks off says so where its form can: with an `error` event.
    private func deliver(_ response: Response, to received: inout ByteBuffer, in exchange: Exchange) async
        -> ResponseEnd
    {
        var pipeline = response.pipeline(budget)
        let (pieces, bodyEnd) = await response.body.pieces()
        var end = ResponseEnd(bodyEnd)
        do throws(GatewayError) {
            for piece in pieces {
                if let passed = try pipeline.receive(piece) { received.writeImmutableBuffer(passed) }
            }
        } catch {
            end = .failed(error)
        }
        let (tail, failure) = await pipeline.finish(end)
        if let tail { received.writeImmutableBuffer(tail) }
        if case .complete = end, let failure { end = .failed(failure) }
        if case .failed(let error) = end, response.isEventStream {
            received.writeImmutableBuffer(gateway.streamFailure(error, requestID: exchange.requestID))
        }
        return end
    }

    private static func ending(_ end: ResponseEnd, _ error: GatewayError?) -> Outcome.Ending {
        switch end {
        case .complete: error.map { .refused($0) } ?? .completed
        case .failed(let error): .failed(error)
        case .clientLeft: .clientLeft
        }
    }
}

extension Response {
    fileprivate func pipeline(_ budget: BufferBudget) -> ResponsePipeline {
        ResponsePipeline(transformers, isEventStream: isEventStream, budget: budget)
    }
}

extension ResponseEnd {
    fileprivate init(_ end: BodyEnd) {
        switch end {
        case .complete: self = .complete
        case .failed(let error): self = .failed(error)
        }
    }
}

extension ResponseBody {
    /// All chunks, once the body has ended.
    fileprivate func pieces() async -> ([ByteBuffer], BodyEnd) {
        switch self {
        case .empty: return ([], .complete)
        case .bytes(let bytes): return ([bytes], .complete)
        case .stream(let source):
            let sink = PieceSink()
            return await withCheckedContinuation { continuation in
                sink.onEnd = { pieces, end in continuation.resume(returning: (pieces, end)) }
                source.start(sink)
            }
        }
    }
}

/// Keeps what a source delivers, up to its end.
private final class PieceSink: BodySink {
    private struct State {
        var pieces: [ByteBuffer] = []
        var onEnd: (@Sendable ([ByteBuffer], BodyEnd) -> Void)?
    }
    private let state = Mutex(State())

    /// Called once. Set before the source is started.
    var onEnd: (@Sendable ([ByteBuffer], BodyEnd) -> Void)? {
        get { state.withLock { $0.onEnd } }
        set { state.withLock { $0.onEnd = newValue } }
    }

    func receive(_ bytes: ByteBuffer) { state.withLock { $0.pieces.append(bytes) } }

    func end(_ end: BodyEnd) {
        let (pieces, action) = state.withLock { state in
            defer { state = State() }
            return (state.pieces, state.onEnd)
        }
        action?(pieces, end)
    }
}
