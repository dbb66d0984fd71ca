import NIOCore
import Synchronization
import TurnpikeKit

/// A body on its way through, of which a ``UsageTail`` takes note. Changes nothing and holds nothing back.
final class ObservedBody: BodySource, BodySink {
    private let source: any BodySource
    private let tail: UsageTail
    private let sink = Mutex<(any BodySink)?>(nil)

    init(_ source: any BodySource, tail: UsageTail) {
        self.source = source
        self.tail = tail
    }

    func start(_ sink: any BodySink) {
        self.sink.withLock { $0 = sink }
        source.start(self)
    }

    func setPaused(_ isPaused: Bool) { source.setPaused(isPaused) }

    func cancel() {
        sink.withLock { $0 = nil }
        source.cancel()
    }

    func receive(_ bytes: ByteBuffer) {
        tail.append(bytes)
        sink.withLock { $0 }?.receive(bytes)
    }

    func end(_ end: BodyEnd) {
        let sink = sink.withLock { sink in
            defer { sink = nil }
            return sink
        }
        sink?.end(end)
    }
}
