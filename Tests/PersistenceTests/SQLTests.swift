import NIOCore
import Persistence
import Testing

@Suite("SQL") struct SQLTests {
    @Test func aValueBecomesABind() {
        let name = "x'; DROP TABLE users; --"
        let sql: SQL = "SELECT \(raw: "a, b") FROM t WHERE name = \(name) AND n = \(3) AND m IS \(Int?.none)"
        #expect(sql.text == "SELECT a, b FROM t WHERE name = ? AND n = ? AND m IS ?")
        #expect(sql.values == [.text(name), .integer(3), .null])
    }

    @Test func partsKeepTheirValues() {
        let part: SQL = "a = \(1)"
        let sql: SQL = "SELECT 1 WHERE \(sql: part) AND b = \(2)"
        #expect((sql + " LIMIT \(5)").values == [.integer(1), .integer(2), .integer(5)])
    }

    @Test func listsArePaddedToAPowerOfTwo() {
        let sql: SQL = "x IN (\(list: [1, 2, 3, 4, 5]))"
        #expect(sql.text == "x IN (?,?,?,?,?,?,?,?)")
        #expect(sql.values.suffix(4) == [5, 5, 5, 5].map { .integer($0) })
        #expect(("IN (\(list: [Int]()))" as SQL).text == "IN (NULL)")
    }

    @Test func errorsTellAClientNothing() {
        let error = DatabaseError(.data, "UNIQUE constraint", code: 2067)
        #expect(error.description == "the database refused the data")
        #expect(error.debugDescription == "data: UNIQUE constraint (2067)")
    }
}
