import NIOCore
import Synchronization
import TurnpikeKit

/// A body whose pieces are made one at a time, each when the client has room for it: an export or a list of any size
/// takes the memory of one piece.
final class PulledBody: BodySource {
    /// The next piece; nil at the end.
    typealias Next = @Sendable () async throws -> ByteBuffer?

    private struct State {
        var sink: (any BodySink)?
        var isPaused = false
        var isPulling = false
        /// A piece that is there already.
        var first: ByteBuffer?
    }

    private let next: Next
    private let eventLoop: any EventLoop
    private let state = Mutex(State())

    /// - Parameters:
    ///   - first: The first piece, if it is there already.
    ///   - next: Never called again before it has returned, nor after an error or the end.
    init(on eventLoop: any EventLoop, behind first: ByteBuffer? = nil, next: @escaping Next) {
        self.next = next
        self.eventLoop = eventLoop
        state.withLock { $0.first = first }
    }

    func start(_ sink: any BodySink) {
        state.withLock { $0.sink = sink }
        pull()
    }

    func setPaused(_ isPaused: Bool) {
        state.withLock { $0.isPaused = isPaused }
        if !isPaused { pull() }
    }

    func cancel() { state.withLock { $0.sink = nil } }

    private func pull() {
        let isNeeded = state.withLock { state in
            guard state.sink != nil, !state.isPaused, !state.isPulling else { return false }
            state.isPulling = true
            return true
        }
        guard isNeeded else { return }
        // A piece ends by itself within one read of the database; a client that left is noticed after it.
        Task { [eventLoop] in
            let result: Result<ByteBuffer?, any Error>
            do { result = .success(try await piece()) } catch { result = .failure(error) }
            eventLoop.execute { self.deliver(result) }
        }
    }

    private func piece() async throws -> ByteBuffer? {
        if let first = state.withLock({ $0.first.take() }) { return first }
        return try await next()
    }

    private func deliver(_ result: Result<ByteBuffer?, any Error>) {
        let isLast = if case .success(.some) = result { false } else { true }
        let sink = state.withLock { state in
            state.isPulling = false
            defer { if isLast { state.sink = nil } }
            return state.sink
        }
        guard let sink else { return }
        switch result {
        case .success(let piece?):
            sink.receive(piece)
            pull()
        case .success(nil): sink.end(.complete)
        case .failure(let error): sink.end(.failed(Self.failure(error)))
        }
    }

    private static func failure(_ error: any Error) -> GatewayError {
        if let error = error as? GatewayError { return error }
        return .unavailable(
            "export_interrupted", "The answer broke off. Try again.", detail: String(reflecting: error))
    }
}
