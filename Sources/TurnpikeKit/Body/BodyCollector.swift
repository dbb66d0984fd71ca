import NIOCore
import Synchronization

/// A sink that gathers a whole body, up to a bound, for one waiter.
final class BodyCollector: BodySink {
    fileprivate struct State {
        var bytes = ByteBuffer()
        var result: Result<ByteBuffer, GatewayError>?
        var waiter: CheckedContinuation<Result<ByteBuffer, GatewayError>, Never>?
        /// Whether the source may still deliver: it has neither ended nor been cancelled.
        var isSourceLive = true
    }

    private let source: any BodySource
    private let limit: Int
    /// A function: the error is made only when it is needed.
    private let tooLarge: @Sendable (Int) -> GatewayError
    private let reservation: BufferReservation?
    private let state = Mutex(State())

    /// `reservation` takes bytes before they are kept, and may refuse them. What it granted is never more than what `wait`
    /// then gives or has failed to deliver.
    init(
        _ source: any BodySource, limit: Int, tooLarge: @escaping @Sendable (Int) -> GatewayError,
        _ reservation: BufferReservation?
    ) {
        self.source = source
        self.limit = limit
        self.tooLarge = tooLarge
        self.reservation = reservation
    }

    /// Starts the source; the result, if that was all: a small body has come with its head.
    ///
    /// Call it on the source's event loop, once.
    func begin() -> Result<ByteBuffer, GatewayError>? {
        source.start(self)
        let result = state.withLock { $0.result }
        if case .failure? = result { cancelSource() }
        return result
    }

    /// Waits for the end, or for the task's cancellation, which counts as the client having left. To be called once.
    func wait() async -> Result<ByteBuffer, GatewayError> {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // The source may have delivered everything in `start`, and a task that was cancelled before has run
                // its handler by now: the result is then there already.
                let settled = state.withLock { state in
                    if state.result == nil { state.waiter = continuation }
                    return state.result
                }
                if let settled { continuation.resume(returning: settled) }
            }
        } onCancel: {
            settle(.failure(.clientLeft))
        }
        // Not in the cancellation handler: that one runs on the thread that cancels, and a source belongs to its loop.
        if case .failure = result { cancelSource() }
        return result
    }

    func receive(_ bytes: ByteBuffer) {
        let refusal = state.withLock { $0.keep(bytes, limit: limit, tooLarge: tooLarge, reservation) }
        guard let refusal else { return }
        cancelSource()
        settle(.failure(refusal))
    }

    func end(_ end: BodyEnd) {
        state.withLock { $0.isSourceLive = false }
        switch end {
        case .complete: settle(nil)
        case .failed(let error): settle(.failure(error))
        }
    }

    private func cancelSource() {
        let isLive = state.withLock { state in
            defer { state.isSourceLive = false }
            return state.isSourceLive
        }
        if isLive { source.cancel() }
    }

    /// Fixes the result, once; `nil` means that all bytes are there.
    private func settle(_ result: Result<ByteBuffer, GatewayError>?) {
        let (waiter, settled) = state.withLock { $0.settle(result) }
        waiter?.resume(returning: settled)
    }
}

extension BodyCollector.State {
    /// Keeps `bytes`, or says why not. What comes after the result is dropped.
    fileprivate mutating func keep(
        _ more: ByteBuffer, limit: Int, tooLarge: (Int) -> GatewayError, _ reservation: BufferReservation?
    ) -> GatewayError? {
        guard result == nil else { return nil }
        guard bytes.readableBytes + more.readableBytes <= limit else { return tooLarge(limit) }
        do throws(GatewayError) { try reservation?.take(more.readableBytes) } catch { return error }
        if bytes.readableBytes == 0 { bytes = more } else { bytes.writeImmutableBuffer(more) }
        return nil
    }

    fileprivate mutating func settle(_ proposed: Result<ByteBuffer, GatewayError>?) -> (
        waiter: CheckedContinuation<Result<ByteBuffer, GatewayError>, Never>?, Result<ByteBuffer, GatewayError>
    ) {
        if let result { return (nil, result) }
        let settled = proposed ?? .success(bytes)
        result = settled
        bytes = ByteBuffer()
        defer { waiter = nil }
        return (waiter, settled)
    }
}
