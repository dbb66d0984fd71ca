import NIOCore
import Persistence
import Testing

@Suite("Rows of a bulk statement") struct BulkRowsTests {
    @Test func keepTheirValues() {
        let values: [SQLValue] = [
            .integer(.min), .double(-0.5), .text("a\u{0}🍣"), .blob(ByteBuffer(repeating: 7, count: 3)),
            .null, .null, .null, .null,
            .integer(.max), .double(.infinity), .text(""), .blob(ByteBuffer()),
        ]
        let rows = BulkRows(width: 4, values)
        #expect(rows.count == 3 && rows.runs.count == 1)
        #expect(rows.values == values)
    }

    @Test(arguments: [250, 251, 65_535, 65_536, 1 << 24])
    func keepBytesOfEveryLength(_ count: Int) {
        let values: [SQLValue] = [
            .text(String(repeating: "x", count: count)), .blob(ByteBuffer(repeating: 1, count: count)),
        ]
        let rows = BulkRows(width: 2, values + values)
        #expect(rows.values == values + values)
    }

    @Test func anIdentifierIsItsBytes() throws {
        let id = UniqueID.generate()
        let rows = BulkRows(width: 1, [.id(id)])
        guard case .blob(let bytes) = try #require(rows.values.first) else { return #expect(Bool(false)) }
        #expect(Array(bytes.readableBytesView) == Array(id.bytes))
    }

    @Test func aColumnOfTwoKindsMakesRunsOfOneKind() {
        let values: [SQLValue] = [
            .integer(1), .text("a"), .integer(2), .integer(3), .null, .integer(4), .double(5), .null, .double(6),
            .text("b"),
        ]
        let rows = BulkRows(width: 2, values)
        #expect(rows.runs.map(\.rows) == [0..<1, 1..<3, 3..<5])
        #expect(rows.values == values)
    }
}
