import NIOCore
import NIOEmbedded
import Synchronization
import Testing
import TurnpikeKit

@testable import EchoProvider

@Suite struct PacedBodyTests {
    private final class Sink: BodySink {
        private let stored = Mutex("")
        var text: String { stored.withLock { $0 } }
        func receive(_ bytes: ByteBuffer) { stored.withLock { $0 += String(buffer: bytes) } }
        func end(_ end: BodyEnd) { stored.withLock { $0 += "." } }
    }

    private let loop = EmbeddedEventLoop()
    private let sink = Sink()

    private func body(_ pieces: String...) -> PacedBody {
        PacedBody(pieces.map(ByteBuffer.init(string:)), pace: .seconds(1), on: loop)
    }

    @Test func sendsAPiecePerPaceAndThenItsEnd() {
        body("a", "b").start(sink)
        loop.run()
        #expect(sink.text == "a")
        loop.advanceTime(by: .seconds(1))
        #expect(sink.text == "ab")
        loop.advanceTime(by: .seconds(9))
        #expect(sink.text == "ab.")
    }

    @Test func sendsNothingWhilePausedAndGoesOnAfterwards() {
        let body = body("a", "b")
        body.start(sink)
        loop.run()
        body.setPaused(true)
        loop.advanceTime(by: .seconds(9))
        #expect(sink.text == "a")
        body.setPaused(false)
        body.setPaused(false)
        loop.advanceTime(by: .zero)
        #expect(sink.text == "ab")
        loop.advanceTime(by: .seconds(9))
        #expect(sink.text == "ab.")
    }

    @Test(arguments: 0..<3)
    func aCancelledBodyIsSilent(after pieces: Int) {
        let body = body("a", "b", "c")
        body.start(sink)
        if pieces > 0 { loop.run() }
        if pieces > 1 { loop.advanceTime(by: .seconds(1)) }
        body.cancel()
        body.cancel()
        body.setPaused(false)
        loop.advanceTime(by: .seconds(9))
        #expect(sink.text == String("abc".prefix(pieces)))
    }
}
