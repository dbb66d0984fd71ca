import NIOCore
import TurnpikeKit

/// Pieces of a streamed request body between the client's socket and libcurl.
struct UploadBuffer {
    /// Bytes from which on the client is read no further, and below which (half of it) it is read again.
    static let highWatermark = 256 << 10

    enum Change: Equatable {
        case none
        /// libcurl waits for bytes: wake it.
        case wakeReader
        case pauseSource
        case resumeSource
    }

    /// What libcurl gets when it asks.
    enum Take: Equatable {
        case bytes(Int, Change)
        case starved
        case finished
        /// The body broke off, or is not as long as was promised: the request must not look complete.
        case broken
    }

    private enum End { case complete, failed }

    private var pieces = CircularBuffer<ByteBuffer>()
    private var queuedBytes = 0
    private var end: End?
    private var isStarved = false
    private var isSourcePaused = false
    /// What is still to come of the declared length; `nil` without one.
    private var remaining: Int?

    init(length: Int?) { remaining = length }

    /// Whether the source has said its last word.
    var hasEnded: Bool { end != nil }

    mutating func append(_ bytes: ByteBuffer) -> (wake: Change, pause: Change) {
        guard end == nil, bytes.readableBytes > 0 else { return (.none, .none) }
        if let remaining {
            self.remaining = remaining - bytes.readableBytes
            guard remaining >= bytes.readableBytes else { return (finish(.failed), .none) }
        }
        pieces.append(bytes)
        queuedBytes += bytes.readableBytes
        let mustPause = queuedBytes >= UploadBuffer.highWatermark && !isSourcePaused
        if mustPause { isSourcePaused = true }
        return (wake(), mustPause ? .pauseSource : .none)
    }

    /// The source has ended; a complete one that is shorter than promised counts as broken.
    mutating func endComplete() -> Change { finish((remaining ?? 0) == 0 ? .complete : .failed) }
    mutating func endFailed() -> Change { finish(.failed) }

    /// Copies what is there into `target`.
    mutating func take(into target: UnsafeMutableRawBufferPointer) -> Take {
        if case .failed? = end { return .broken }
        var count = 0
        while count < target.count, !pieces.isEmpty {
            count += copyFront(to: UnsafeMutableRawBufferPointer(rebasing: target[count...]))
        }
        guard count > 0 else {
            guard end == nil else { return .finished }
            isStarved = true
            return .starved
        }
        queuedBytes -= count
        guard isSourcePaused, queuedBytes < UploadBuffer.highWatermark / 2 else { return .bytes(count, .none) }
        isSourcePaused = false
        return .bytes(count, .resumeSource)
    }

    private mutating func copyFront(to target: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(target.count, pieces[pieces.startIndex].readableBytes)
        pieces[pieces.startIndex].withUnsafeReadableBytes { source in
            target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[..<count]))
        }
        pieces[pieces.startIndex].moveReaderIndex(forwardBy: count)
        if pieces[pieces.startIndex].readableBytes == 0 { pieces.removeFirst() }
        return count
    }

    private mutating func finish(_ end: End) -> Change {
        guard self.end == nil else { return .none }
        self.end = end
        return wake()
    }

    private mutating func wake() -> Change {
        guard isStarved else { return .none }
        isStarved = false
        return .wakeReader
    }
}
