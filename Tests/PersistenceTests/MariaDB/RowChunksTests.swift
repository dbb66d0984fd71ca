import NIOCore
import Persistence
import Testing

@testable import PersistenceMariaDB

@Suite("Chunks of a bulk statement") struct RowChunksTests {
    private func chunks(_ values: [SQLValue], limit: Int = 4 << 20) -> [String] {
        RowChunks(BulkRows(width: 2, values), limit: limit).map { chunk in
            switch chunk {
            case .together(let rows, _): "\(rows.count)"
            case .alone: "alone"
            }
        }
    }

    private func sizes(_ bytes: [Int], limit: Int = 4 << 20) -> [String] {
        chunks(bytes.flatMap { [SQLValue.blob(ByteBuffer(repeating: 0, count: $0)), .null] }, limit: limit)
    }

    @Test func takeWhatFits() {
        #expect(sizes([]) == [])
        #expect(sizes([0]) == ["1"])
        #expect(sizes(Array(repeating: 10, count: 1_500)) == ["1024", "476"])
        #expect(sizes([100, 100, 100], limit: 260) == ["2", "1"])
    }

    @Test func leaveABigRowAlone() {
        #expect(sizes([10, 10, 2 << 20, 10, 10]) == ["2", "alone", "2"])
        #expect(sizes([2 << 20, 2 << 20]) == ["alone", "alone"])
        #expect(sizes([300, 300], limit: 100) == ["alone", "alone"])
    }

    @Test func holdRowsOfTheSameTypes() {
        #expect(chunks([.integer(1), .null, .null, .text("a"), .text("b"), .null, .null, .integer(2)]) == ["2", "2"])
    }
}
