import NIOCore
import Synchronization
import TurnpikeKit

/// The upstream client for plain HTTP: an exchange's request goes out and its answer comes in on the exchange's own
/// event loop, over connections that belong to the loop. No thread, no hop, no lock.
///
/// Its connections live until `shutdown()`, or until the client is dropped. What is open then fails with
/// `server_shutting_down`.
final class PlainUpstreamClient: Sendable {
    /// Servers close idle connections after 5 to 75 seconds, most after 60; one that closes first is noticed.
    static let idleLimit = Duration.seconds(60)

    private let loops: [ObjectIdentifier: NIOLoopBoundBox<PlainLoop>]
    private let eventLoops: [any EventLoop]
    private let isStopped = Atomic<Bool>(false)

    /// Exchanges must run on one of these loops.
    init(eventLoops: [any EventLoop], idleLimit: Duration = PlainUpstreamClient.idleLimit) {
        self.eventLoops = eventLoops
        var loops: [ObjectIdentifier: NIOLoopBoundBox<PlainLoop>] = [:]
        for eventLoop in eventLoops {
            loops[ObjectIdentifier(eventLoop)] = .makeBoxSendingValue(
                PlainLoop(on: eventLoop, idleLimit: idleLimit.nanoseconds), eventLoop: eventLoop)
        }
        self.loops = loops
    }

    deinit {
        // After a shutdown the loops may be gone.
        guard !isStopped.load(ordering: .relaxed) else { return }
        for (eventLoop, loop) in zipped { eventLoop.perform { loop.value.stop() } }
    }

    /// Where `request` goes, if it is one for this client.
    func target(of request: UpstreamRequest, on eventLoop: any EventLoop) -> PlainTarget? {
        guard eventLoop.inEventLoop, let loop = loops[ObjectIdentifier(eventLoop)] else { return .of(request) }
        return loop.value.targets.target(of: request)
    }

    /// As ``UpstreamClient/send(_:in:)``. `target` was read from the request.
    func send(_ request: UpstreamRequest, to target: PlainTarget, in exchange: Exchange) async throws -> Response {
        let eventLoop = exchange.eventLoop
        guard let loop = loops[ObjectIdentifier(eventLoop)] else {
            preconditionFailure("The exchange runs on an event loop that the upstream client was not made for.")
        }
        let transfer = NIOLoopBoundBox.makeBoxSendingValue(
            try PlainUpstreamClient.transfer(request, to: target, on: loop, eventLoop), eventLoop: eventLoop)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { waiter in
                // At once where that is no other thread's: what `perform` takes is an object.
                if eventLoop.inEventLoop { return transfer.value.begin(waiter) }
                eventLoop.execute { transfer.value.begin(waiter) }
            }
        } onCancel: {
            eventLoop.perform { transfer.value.cancel(.clientLeft) }
        }
    }

    private static func transfer(
        _ request: UpstreamRequest, to target: PlainTarget, on loop: NIOLoopBoundBox<PlainLoop>,
        _ eventLoop: any EventLoop
    ) throws(GatewayError) -> sending PlainTransfer {
        switch try request.body.takeContent() {
        case .bytes(let bytes):
            let body: OutgoingBody = bytes.readableBytes == 0 ? .none : .bytes(bytes)
            let memory = eventLoop.inEventLoop ? loop.value.heads.take() : ByteBuffer()
            let prepared = try PlainRequest(request, to: target, body: body, in: memory)
            return PlainTransfer(prepared, uploading: nil, on: loop)
        case .stream(let source, let length):
            do {
                let prepared = try PlainRequest(request, to: target, body: .stream(length: length))
                return PlainTransfer(prepared, uploading: source, on: loop)
            } catch {
                eventLoop.perform { source.cancel() }
                throw error
            }
        }
    }

    /// Fails what is open, closes all connections, and returns when that is done.
    func shutdown() async {
        isStopped.store(true, ordering: .relaxed)
        for (eventLoop, loop) in zipped { try? await eventLoop.submit { loop.value.stop() }.get() }
    }

    private var zipped: [(any EventLoop, NIOLoopBoundBox<PlainLoop>)] {
        eventLoops.compactMap { eventLoop in loops[ObjectIdentifier(eventLoop)].map { (eventLoop, $0) } }
    }
}
