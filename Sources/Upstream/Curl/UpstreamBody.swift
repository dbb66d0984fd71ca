import Synchronization
import TurnpikeKit

/// The body of an answer, for its one reader. Dropped before anyone has started it, it closes the upstream connection.
final class UpstreamBody: BodySource {
    private let transfer: UpstreamTransfer
    private let shard: CurlShard
    private let isStarted = Atomic<Bool>(false)

    init(_ transfer: UpstreamTransfer, on shard: CurlShard) {
        self.transfer = transfer
        self.shard = shard
    }

    deinit {
        if !isStarted.load(ordering: .relaxed) { transfer.cancel(.clientLeft) }
    }

    func start(_ sink: any BodySink) {
        isStarted.store(true, ordering: .relaxed)
        shard.onLoop { [transfer] in transfer.start(sink) }
    }

    func setPaused(_ isPaused: Bool) { transfer.setPaused(isPaused) }

    func cancel() { transfer.cancel(.clientLeft) }
}
