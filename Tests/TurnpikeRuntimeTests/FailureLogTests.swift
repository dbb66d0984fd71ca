import Testing

@testable import TurnpikeRuntime

@Suite struct FailureLogTests {
    private let second: UInt64 = 1_000_000_000

    @Test func anOutageHasALineAtItsBeginOnePerIntervalAndOneAtItsEnd() {
        var log = FailureLog()
        #expect(log.add("storage", at: 0) == .begins)
        let lines = (1...250).map { log.add("storage", at: UInt64($0) * second / 10) }
        #expect(lines.filter { $0 != nil } == [.goesOn(100), .goesOn(100)])
        #expect(lines[99] == .goesOn(100))
        #expect(log.takeEnded(at: 34 * second).isEmpty)
        #expect(log.takeEnded(at: 35 * second) == [.ended(code: "storage", 251)])
        #expect(log.isEmpty)
        #expect(log.add("storage", at: 36 * second) == .begins)
    }

    @Test func everyCodeHasItsOwn() {
        var log = FailureLog()
        #expect(log.add("storage", at: 0) == .begins)
        #expect(log.add("spool", at: 5 * second) == .begins)
        #expect(log.add("storage", at: 6 * second) == nil)
        #expect(log.takeEnded(at: 15 * second) == [.ended(code: "spool", 1)])
        #expect(log.add("storage", at: 15 * second) == .goesOn(2))
    }
}
