package import NIOCore

/// What is written to connections in one turn of an event loop, sent together at its end.
///
/// A write to a socket wakes whoever reads the other end. Sent one by one, in between the work on the requests, each
/// finds its reader asleep again, and waking one costs as much as the write; sent one after the other, most find it
/// awake. An idle loop's turn has one request, and of a busy one's turn no more than a few wait for each other, so nothing
/// waits for long. One per loop; lives on it.
package final class LoopFlushes {
    /// How many connections wait for each other. Turns of a loop with thousands of streams take milliseconds.
    static let most = 16

    private let eventLoop: any EventLoop
    private var waiting: [any Flushing] = []
    /// Whether the end of the turn will flush.
    private var isEndAwaited = false
    private var isFlushing = false

    package init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Has `connection` flushed at the end of the turn. To be asked once for all its writes.
    package func add(_ connection: any Flushing) {
        waiting.append(connection)
        if !isEndAwaited {
            isEndAwaited = true
            eventLoop.assumeIsolated().execute {
                self.isEndAwaited = false
                self.flushAll()
            }
        }
        // What is sent may make room for the next request, whose answer comes here again: not within itself.
        if waiting.count >= Self.most, !isFlushing { flushAll() }
    }

    private func flushAll() {
        isFlushing = true
        defer { isFlushing = false }
        var taken: [any Flushing] = []
        taken.reserveCapacity(waiting.capacity)
        swap(&taken, &waiting)
        for connection in taken { connection.flushNow() }
    }
}

/// A connection with writes that were not sent yet.
package protocol Flushing: AnyObject {
    func flushNow()
}

@available(*, unavailable)
extension LoopFlushes: Sendable {}
