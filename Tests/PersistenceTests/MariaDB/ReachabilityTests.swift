import Testing

@testable import PersistenceMariaDB

/// Expectations cannot change a value.
private final class Bench<Value> {
    private var value: Value
    init(_ value: Value) { self.value = value }
}

extension Bench<Reachability> {
    func admit(at now: UInt64) -> Reachability.Admission { value.admit(at: now) }
    func failed(at now: UInt64, jitter: Double) { value.failed(at: now, jitter: jitter) }
    func succeeded() { value.succeeded() }
}

extension Bench<HostOrder> {
    var current: Int? { value.current }
    func candidates(at now: UInt64) -> [Int] { value.candidates(at: now) }
    func failed(_ host: Int, at now: UInt64) { value.failed(host, at: now) }
    func succeeded(_ host: Int) -> Bool { value.succeeded(host) }
}

@Suite("Reaching a server") struct ReachabilityTests {
    private static let millisecond: UInt64 = 1_000_000

    @Test func anyNumberMayConnectWhileItIsUp() {
        let reachability = Bench(Reachability())
        for moment in 0..<5 { #expect(reachability.admit(at: UInt64(moment)) == .connect) }
    }

    @Test func afterAFailureOneAtATimeTriesBehindPausesThatDouble() {
        let reachability = Bench(Reachability())
        var now: UInt64 = 0
        #expect(reachability.admit(at: now) == .connect)
        for pause in [25, 50, 100, 200, 400, 800, 1_000, 1_000, 1_000] as [UInt64] {
            reachability.failed(at: now, jitter: 1)
            #expect(reachability.admit(at: now + pause * Self.millisecond - 1) == .refused)
            now += pause * Self.millisecond
            #expect(reachability.admit(at: now) == .connect)
            #expect(reachability.admit(at: now) == .refused)
        }
        reachability.succeeded()
        #expect(reachability.admit(at: now) == .connect)
        #expect(reachability.admit(at: now) == .connect)
    }

    @Test func thoseThatFailTogetherCountOnce() {
        let reachability = Bench(Reachability())
        for _ in 0..<4 { #expect(reachability.admit(at: 0) == .connect) }
        for _ in 0..<4 { reachability.failed(at: 0, jitter: 1) }
        #expect(reachability.admit(at: 25 * Self.millisecond) == .connect)
    }

    @Test func jitterMovesThePause() {
        let reachability = Bench(Reachability())
        reachability.failed(at: 0, jitter: 1.5)
        #expect(reachability.admit(at: 37 * Self.millisecond) == .refused)
        #expect(reachability.admit(at: 38 * Self.millisecond) == .connect)
    }
}

@Suite("The order of servers") struct HostOrderTests {
    private static let second: UInt64 = 1_000_000_000

    @Test func isThatOfTheList() {
        let order = Bench(HostOrder(count: 3))
        #expect(order.candidates(at: 0) == [0, 1, 2])
    }

    @Test func triesLastWhatFailedAMomentAgo() {
        let order = Bench(HostOrder(count: 3))
        order.failed(0, at: 0)
        #expect(order.candidates(at: Self.second) == [1, 2, 0])
        order.failed(1, at: Self.second)
        #expect(order.candidates(at: Self.second) == [2, 0, 1])
        #expect(order.candidates(at: 10 * Self.second) == [0, 2, 1])
        #expect(order.candidates(at: 11 * Self.second) == [0, 1, 2])
    }

    @Test func forgivesWhatWorks() {
        let order = Bench(HostOrder(count: 2))
        order.failed(0, at: 0)
        _ = order.succeeded(0)
        #expect(order.candidates(at: 1) == [0, 1])
    }

    @Test func tellsWhenConnectionsGoElsewhere() {
        let order = Bench(HostOrder(count: 2))
        #expect(!order.succeeded(1))
        #expect(!order.succeeded(1))
        #expect(order.succeeded(0))
        #expect(order.current == 0)
    }
}
