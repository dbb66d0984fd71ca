import NIOCore
import Testing

@testable import Upstream

@Suite struct SpareBuffersTests {
    @Test func memoryThatSomebodyStillReadsIsNotWrittenIn() {
        var spare = SpareBuffers()
        let read = ByteBuffer(string: "still being sent")
        spare.give(read)
        var taken = spare.take()
        taken.clear(minimumCapacity: 8)
        taken.writeString("the next one")
        #expect(String(buffer: read) == "still being sent" && String(buffer: taken) == "the next one")
    }

    @Test func keepsNeitherLargeOnesNorMoreThanItsNumber() {
        var spare = SpareBuffers()
        spare.give(ByteBuffer(repeating: 0, count: 64 << 10))
        spare.give(ByteBuffer())
        #expect(spare.take().capacity == 0)
        for _ in 0..<1_000 { spare.give(ByteBuffer(repeating: 0, count: 100)) }
        let kept = (0..<1_000).count { _ in spare.take().capacity > 0 }
        #expect(kept == 64)
    }
}
