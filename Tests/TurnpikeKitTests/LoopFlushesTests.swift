import NIOCore
import NIOEmbedded
import Testing

@testable import TurnpikeKit

@Suite struct LoopFlushesTests {
    private final class Connection: Flushing {
        private(set) var flushes = 0
        private let then: () -> Void

        init(then: @escaping () -> Void = {}) { self.then = then }

        func flushNow() {
            flushes += 1
            then()
        }
    }

    @Test func everyConnectionIsFlushedOnceAtTheEndOfTheTurn() {
        let loop = EmbeddedEventLoop()
        let flushes = LoopFlushes(loop)
        let connections = (0..<3).map { _ in Connection() }
        for connection in connections { flushes.add(connection) }
        #expect(connections.allSatisfy { $0.flushes == 0 })
        loop.run()
        #expect(connections.allSatisfy { $0.flushes == 1 })
        loop.run()
        #expect(connections.allSatisfy { $0.flushes == 1 })
    }

    @Test func noMoreThanAFewWaitForEachOther() {
        let loop = EmbeddedEventLoop()
        let flushes = LoopFlushes(loop)
        let connections = (0..<LoopFlushes.most + 1).map { _ in Connection() }
        for connection in connections { flushes.add(connection) }
        #expect(connections.map(\.flushes) == Array(repeating: 1, count: LoopFlushes.most) + [0])
        loop.run()
        #expect(connections.allSatisfy { $0.flushes == 1 })
    }

    /// Or a client that sends many requests at once would fill the stack.
    @Test func aFlushThatLeadsToOthersIsOverBeforeThey() {
        let loop = EmbeddedEventLoop()
        let flushes = LoopFlushes(loop)
        let later = (0..<3 * LoopFlushes.most).map { _ in Connection() }
        let first = Connection { for connection in later { flushes.add(connection) } }
        for connection in [first] + (1..<LoopFlushes.most).map({ _ in Connection() }) { flushes.add(connection) }
        #expect(first.flushes == 1 && later.allSatisfy { $0.flushes == 0 })
        loop.run()
        #expect(later.allSatisfy { $0.flushes == 1 })
    }

    @Test func whatIsAskedForWhileFlushingIsNotForgotten() {
        let loop = EmbeddedEventLoop()
        let flushes = LoopFlushes(loop)
        let second = Connection()
        flushes.add(Connection { flushes.add(second) })
        loop.run()
        #expect(second.flushes == 1)
    }
}
