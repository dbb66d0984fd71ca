import NIOCore
import Synchronization
import TurnpikeKit

/// The body of an answer, for its one reader. Dropped before anyone has started it, it closes the upstream connection.
///
/// A reader may hold it anywhere; what it asks for happens on the loop.
final class PlainBody: BodySource {
    private let transfer: NIOLoopBound<PlainTransfer>
    private let eventLoop: any EventLoop
    private let isStarted = Atomic<Bool>(false)

    init(_ transfer: PlainTransfer, on eventLoop: any EventLoop) {
        self.transfer = NIOLoopBound(transfer, eventLoop: eventLoop)
        self.eventLoop = eventLoop
    }

    deinit {
        if !isStarted.load(ordering: .relaxed) { cancel() }
    }

    func start(_ sink: any BodySink) {
        isStarted.store(true, ordering: .relaxed)
        eventLoop.perform { [transfer] in transfer.value.start(sink) }
    }

    func setPaused(_ isPaused: Bool) { eventLoop.perform { [transfer] in transfer.value.setPaused(isPaused) } }

    func cancel() { eventLoop.perform { [transfer] in transfer.value.cancel(.clientLeft) } }
}

/// Takes a streamed request body from its source.
final class PlainUpload: BodySink {
    private let transfer: NIOLoopBound<PlainTransfer>
    private let eventLoop: any EventLoop

    init(_ transfer: PlainTransfer, on eventLoop: any EventLoop) {
        self.transfer = NIOLoopBound(transfer, eventLoop: eventLoop)
        self.eventLoop = eventLoop
    }

    func receive(_ bytes: ByteBuffer) { eventLoop.perform { [transfer] in transfer.value.uploadArrived(bytes) } }
    func end(_ end: BodyEnd) { eventLoop.perform { [transfer] in transfer.value.uploadEnded(end) } }
}

extension EventLoop {
    /// Runs `action` on the loop, at once if the caller is there already.
    func perform(_ action: @escaping @Sendable () -> Void) {
        if inEventLoop { action() } else { execute(action) }
    }
}
