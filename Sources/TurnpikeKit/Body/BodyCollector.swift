import NIOCore
import Synchronization

/// A sink that gathers a whole body, up to a bound, for one waiter.
final class BodyCollector: BodySink {
    private struct State {
        var bytes = ByteBuffer()
        var result: Result<ByteBuffer, GatewayError>?
        var waiter: CheckedContinuation<ByteBuffer, any Error>?
    }

    private let source: any BodySource
    private let limit: Int
    private let tooLarge: GatewayError
    private let reserve: @Sendable (Int) -> GatewayError?
    private let state = Mutex(State())

    /// `reserve` is asked before bytes are kept and may refuse them.
    init(
        _ source: any BodySource, limit: Int, tooLarge: GatewayError,
        reserve: @escaping @Sendable (Int) -> GatewayError? = { _ in nil }
    ) {
        self.source = source
        self.limit = limit
        self.tooLarge = tooLarge
        self.reserve = reserve
    }

    /// Starts the source and waits for the end. Cancellation ends the wait and the source.
    func collect() async throws -> ByteBuffer {
        source.start(self)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let done = state.withLock { state -> Result<ByteBuffer, GatewayError>? in
                    if state.result == nil { state.waiter = continuation }
                    return state.result
                }
                if let done { continuation.resume(with: done.mapError { $0 }) }
            }
        } onCancel: {
            settle(.failure(.clientLeft))
        }
    }

    func receive(_ bytes: ByteBuffer) {
        if let refusal = reserve(bytes.readableBytes) { return abandon(refusal) }
        let isTooLarge = state.withLock { state in
            guard state.result == nil else { return false }
            guard state.bytes.readableBytes + bytes.readableBytes <= limit else { return true }
            if state.bytes.readableBytes == 0 {
                state.bytes = bytes
            } else {
                state.bytes.writeImmutableBuffer(bytes)
            }
            return false
        }
        if isTooLarge { abandon(tooLarge) }
    }

    func end(_ end: BodyEnd) {
        switch end {
        case .complete: settle(nil)
        case .failed(let error): settle(.failure(error))
        }
    }

    private func abandon(_ error: GatewayError) {
        source.cancel()
        settle(.failure(error))
    }

    /// Fixes the result, once; `nil` means that all bytes are there.
    private func settle(_ result: Result<ByteBuffer, GatewayError>?) {
        let waiter = state.withLock { state -> CheckedContinuation<ByteBuffer, any Error>? in
            guard state.result == nil else { return nil }
            state.result = result ?? .success(state.bytes)
            state.bytes = ByteBuffer()
            defer { state.waiter = nil }
            return state.waiter
        }
        guard let waiter, let settled = state.withLock({ $0.result }) else { return }
        waiter.resume(with: settled.mapError { $0 })
    }
}
