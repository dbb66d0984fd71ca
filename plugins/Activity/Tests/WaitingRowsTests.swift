import Persistence
import Testing
import TurnpikeKit

@testable import ActivityPlugin

@Suite struct WaitingRowsTests {
    @Test func aBatchThatIsPutBackComesFirstAgainAndNothingChangesItsPlace() async throws {
        let bench = try await ActivityBench()
        let rows = (0..<WaitingRows.batchSize + 3).map { _ in
            ActivityRow(bench.exchange(), Outcome(ending: .completed, status: 200))
        }
        var waiting = WaitingRows()
        for row in rows { waiting.append(row) }
        let taken = waiting.takeBatch()
        let batch = try #require(taken)
        #expect(batch.count == WaitingRows.batchSize && waiting.count == 3)
        waiting.putBack(batch)
        #expect(waiting.count == rows.count)
        var found: [UniqueID] = []
        while let batch = waiting.takeBatch() { found += batch.map(\.id) }
        #expect(found == rows.map(\.id) && Set(found).count == rows.count && waiting.count == 0)
    }
}
