import NIOCore
import NIOHTTP1
import Synchronization
package import TurnpikeKit

/// Where the requests of one session take turns, if the configuration wants them to.
///
/// It knows the requests of this process. Those of another process are not held up; as everywhere, each of them is
/// stored as an unbroken turn that supersedes nothing it did not know.
package final class SessionGate: Sendable {
    /// What becomes of a request whose session is answering another one.
    package enum Policy: String, Sendable, CaseIterable {
        /// Both are answered at once.
        case allow
        /// It waits until the other one is over, and then sees its turn.
        case serialize
        /// 409.
        case reject
    }

    /// How a request came in.
    package enum Entry: Sendable {
        case atOnce
        case afterWaiting
    }

    private struct Waiter {
        let id: UInt64
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        /// The sessions that are answering a request, with those that wait behind it in order.
        var sessions: [SessionKey: [Waiter]] = [:]
        var lastID: UInt64 = 0
    }

    /// More would be a client that has lost its way; each is a connection that is held open.
    private static let maximumWaiters = 64
    private let state = Mutex(State())

    /// Lets the exchange in by `policy`; it leaves when it is over.
    ///
    /// - Throws: 409 `session_locked` where it may not wait, or has waited for `time`.
    package func enter(_ key: SessionKey, _ policy: Policy, waiting time: Duration, _ exchange: Exchange) async throws
        -> Entry
    {
        guard policy != .allow else { return .atOnce }
        var entry = Entry.atOnce
        if !takeFree(key) {
            guard policy == .serialize else { throw GatewayError.sessionLocked }
            try await wait(key, time, exchange)
            entry = .afterWaiting
        }
        exchange.onFinish { _ in self.leave(key) }
        return entry
    }

    private func takeFree(_ key: SessionKey) -> Bool {
        state.withLock { state in
            guard state.sessions[key] == nil else { return false }
            state.sessions[key] = []
            return true
        }
    }

    private func wait(_ key: SessionKey, _ time: Duration, _ exchange: Exchange) async throws {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        var alarm: Scheduled<Void>?
        defer { alarm?.cancel() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                self.queue(Waiter(id: id, continuation: continuation), key)
                // Not before: an alarm that finds nobody in the queue would not ring again.
                alarm = exchange.eventLoop.scheduleTask(in: TimeAmount(time)) {
                    self.giveUp(key, id, GatewayError.sessionLocked)
                }
            }
        } onCancel: {
            giveUp(key, id, GatewayError.clientLeft)
        }
    }

    /// Lets the waiter in at once if the session has become free, or queues it.
    private func queue(_ waiter: Waiter, _ key: SessionKey) {
        let result: Result<Void, any Error>? = state.withLock { state in
            // Who was cancelled before this is not in the queue, and nobody will find it there.
            if Task.isCancelled { return .failure(GatewayError.clientLeft) }
            guard let waiting = state.sessions[key] else {
                state.sessions[key] = []
                return .success(())
            }
            guard waiting.count < Self.maximumWaiters else { return .failure(GatewayError.sessionLocked) }
            state.sessions[key]?.append(waiter)
            return nil
        }
        if let result { waiter.continuation.resume(with: result) }
    }

    private func giveUp(_ key: SessionKey, _ id: UInt64, _ error: GatewayError) {
        let waiter: Waiter? = state.withLock { state in
            guard let index = state.sessions[key]?.firstIndex(where: { $0.id == id }) else { return nil }
            return state.sessions[key]?.remove(at: index)
        }
        waiter?.continuation.resume(throwing: error)
    }

    /// The next one's turn.
    private func leave(_ key: SessionKey) {
        let next: Waiter? = state.withLock { state in
            guard let waiting = state.sessions[key], !waiting.isEmpty else {
                state.sessions[key] = nil
                return nil
            }
            return state.sessions[key]?.removeFirst()
        }
        next?.continuation.resume()
    }
}

extension GatewayError {
    /// The session is answering another request, and this one may not go beside it.
    static let sessionLocked = GatewayError(
        .client, .conflict, code: "session_locked",
        "The session is answering another request. Wait for its answer, and send this one again.",
        param: "session_id", retry: .safe)
}
