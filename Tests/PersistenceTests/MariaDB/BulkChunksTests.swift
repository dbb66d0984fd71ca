import NIOCore
import Persistence
import Testing

@testable import PersistenceMariaDB

@Suite("Chunks of a bulk statement") struct BulkChunksTests {
    private func sizes(_ bytes: [Int], limit: Int = 4 << 20) -> [Int] {
        let values = bytes.flatMap { [SQLValue.blob(ByteBuffer(repeating: 0, count: $0)), .null] }
        return BulkChunks(values, width: 2, limit: limit).map { $0.count / 2 }
    }

    @Test func takeWhatFits() {
        #expect(sizes([]) == [])
        #expect(sizes([0]) == [1])
        #expect(sizes(Array(repeating: 10, count: 1_500)) == [1_024, 476])
        #expect(sizes([100, 100, 100], limit: 260) == [2, 1])
        #expect(sizes([300, 300], limit: 100) == [1, 1])
    }

    @Test func keepABigRowAlone() {
        #expect(sizes([10, 10, 2 << 20, 10, 10]) == [2, 1, 2])
        #expect(sizes([2 << 20, 2 << 20]) == [1, 1])
    }
}
