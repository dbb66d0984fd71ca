import NIOCore
import Synchronization

/// The connections of a server: how many there may be, and whom to tell that the server stops.
///
/// A connection stays registered until its channel is closed and its last exchange is finished, so an empty registry
/// means that nothing is under way.
final class ConnectionRegistry: Sendable {
    /// What becomes of a new connection.
    enum Admission {
        case served
        /// One too many: its first request is answered 503.
        case excess
        /// Closed without a word: far too many, or the server is stopping.
        case refused
    }

    private struct Entry: Sendable {
        let eventLoop: any EventLoop
        let handler: NIOLoopBound<ConnectionHandler>
    }

    private struct State {
        var entries: [ObjectIdentifier: Entry] = [:]
        var isStopping = false
        var waiter: EventLoopPromise<Void>?

        mutating func takeWaiterIfEmpty() -> EventLoopPromise<Void>? {
            guard entries.isEmpty else { return nil }
            defer { waiter = nil }
            return waiter
        }
    }

    private let limit: Int
    private let state = Mutex(State())

    init(limit: Int) { self.limit = limit }

    /// Connections that are open or have an unfinished exchange.
    var count: Int { state.withLock { $0.entries.count } }

    /// Registers a connection unless it is refused. Call it on the connection's loop.
    func admit(_ handler: ConnectionHandler, on eventLoop: any EventLoop) -> Admission {
        let entry = Entry(eventLoop: eventLoop, handler: NIOLoopBound(handler, eventLoop: eventLoop))
        return state.withLock { state in
            // So many excess connections are told why; a flood of them must not hold sockets.
            guard !state.isStopping, state.entries.count < limit + limit / 8 + 16 else { return .refused }
            defer { state.entries[ObjectIdentifier(handler)] = entry }
            return state.entries.count < limit ? .served : .excess
        }
    }

    func remove(_ handler: ConnectionHandler) {
        let waiter = state.withLock { state -> EventLoopPromise<Void>? in
            state.entries[ObjectIdentifier(handler)] = nil
            return state.takeWaiterIfEmpty()
        }
        waiter?.succeed()
    }

    /// From now on no connection is admitted; each one is told to finish.
    func drain() {
        state.withLock { $0.isStopping = true }
        tellAll { $0.drain() }
    }

    /// Running exchanges are broken off.
    func abort() { tellAll { $0.abort() } }

    /// Channels are closed, whatever is under way.
    func closeAll() { tellAll { $0.closeChannel() } }

    enum Emptying { case empty, timedOut }

    /// Waits until no connection is left, for at most `time`. One caller at a time.
    func emptied(within time: TimeAmount, on eventLoop: any EventLoop) async -> Emptying {
        let promise = eventLoop.makePromise(of: Void.self)
        let immediate = state.withLock { state -> EventLoopPromise<Void>? in
            precondition(state.waiter == nil, "Only one shutdown waits for the connections of a server.")
            state.waiter = promise
            return state.takeWaiterIfEmpty()
        }
        immediate?.succeed()
        let timer = eventLoop.scheduleTask(in: time) {
            let late = self.state.withLock { state -> EventLoopPromise<Void>? in
                defer { state.waiter = nil }
                return state.waiter
            }
            late?.fail(ChannelError.connectTimeout(time))
        }
        defer { timer.cancel() }
        do {
            try await promise.futureResult.get()
            return .empty
        } catch {
            return .timedOut
        }
    }

    private func tellAll(_ message: @escaping @Sendable (ConnectionHandler) -> Void) {
        for entry in state.withLock({ Array($0.entries.values) }) {
            entry.eventLoop.execute { message(entry.handler.value) }
        }
    }
}
