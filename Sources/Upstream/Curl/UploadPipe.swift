import NIOCore
import Synchronization
import TurnpikeKit

/// Carries a streamed request body from its source (on the event loop) to libcurl (on the curl thread).
final class UploadPipe: BodySink {
    let length: Int?
    private let source: any BodySource
    private let buffer: Mutex<UploadBuffer>
    private let link: Mutex<Link?> = Mutex(nil)

    /// What the pipe does to its transfer.
    struct Link: Sendable {
        /// libcurl stopped asking for bytes and there are some now, or the end.
        var wake: @Sendable () -> Void
        /// The source failed: the answer is not waited for.
        var fail: @Sendable (GatewayError) -> Void
    }

    init(_ source: any BodySource, length: Int?) {
        self.source = source
        self.length = length
        self.buffer = Mutex(UploadBuffer(length: length))
    }

    /// Begins to read the source, unless the transfer is over already. On the event loop.
    func start(_ link: Link) {
        guard !buffer.withLock({ $0.hasEnded }) else { return }
        self.link.withLock { $0 = link }
        source.start(self)
    }

    /// The transfer is over: a source that has more is given up, and the transfer is let go. On the event loop.
    func close() {
        let hadEnded = buffer.withLock { buffer in
            defer { _ = buffer.endFailed() }
            return buffer.hasEnded
        }
        link.withLock { $0 = nil }
        if !hadEnded { source.cancel() }
    }

    func receive(_ bytes: ByteBuffer) {
        let change = buffer.withLock { $0.append(bytes) }
        if change.pause == .pauseSource { source.setPaused(true) }
        if change.wake == .wakeReader { wake() }
    }

    func end(_ end: BodyEnd) {
        switch end {
        case .complete:
            if buffer.withLock({ $0.endComplete() }) == .wakeReader { wake() }
        case .failed(let error):
            _ = buffer.withLock { $0.endFailed() }
            link.withLock { $0 }?.fail(error)
        }
    }

    /// libcurl wants bytes. On the curl thread.
    func take(into target: UnsafeMutableRawBufferPointer) -> UploadBuffer.Take {
        buffer.withLock { $0.take(into: target) }
    }

    /// There is room again. On the event loop.
    func resumeSource() { source.setPaused(false) }

    private func wake() { link.withLock { $0 }?.wake() }
}
