import Persistence
import Synchronization
import Testing
import TurnpikeTesting

@testable import Conversations

/// What waits for a time is told when it is over, and what no longer waits is let go of.
@Suite(.timeLimit(.minutes(5))) struct DeadlinesTests {
    /// Lives as long as somebody holds on to it.
    private final class Held: Sendable {}

    private final class Told: Sendable {
        private let numbers = Mutex<[Int]>([])

        var all: [Int] { numbers.withLock { $0 } }

        func note(_ number: Int) { numbers.withLock { $0.append(number) } }
    }

    @Test func allAreToldInTheOrderInWhichTheyCame() async {
        let deadlines = Deadlines(.milliseconds(10))
        let (told, last) = (Told(), Arrival())
        for number in 0..<3 { deadlines.add { told.note(number) } }
        deadlines.add { last.announce() }
        await last.wait()
        #expect(told.all == [0, 1, 2])
        await deadlines.close()
    }

    @Test func whatWasCancelledIsLetGoOfAndNotTold() async {
        let deadlines = Deadlines(.seconds(3_600))
        let told = Told()
        weak var held: Held?
        let waiting = (0..<3).map { number in
            let object = Held()
            if number == 1 { held = object }
            return deadlines.add { withExtendedLifetime(object) { told.note(number) } }
        }
        #expect(held != nil)
        waiting[1].cancel()
        #expect(held == nil)
        waiting[0].cancel()
        waiting[0].cancel()
        await deadlines.close()
        #expect(told.all == [2])
    }

    @Test func behindAPauseOfTheProcessAllThatAreDueHaveAMomentMoreOnce() {
        let (millisecond, delay) = (UInt64(1_000_000), UInt64(20_000_000))
        var state = Deadlines.State()
        func due(_ first: UInt64, at now: UInt64) -> UInt64 {
            state.dueTime(of: first * millisecond, at: now * millisecond, delay: delay) / millisecond
        }
        #expect(due(2_000, at: 1_000) == 2_000)
        #expect(due(2_000, at: 2_020) == 2_000)
        #expect(due(2_000, at: 2_520) == 2_000, "ordinary work")
        #expect(due(2_000, at: 5_000) == 5_500)
        #expect(due(2_000, at: 5_200) == 5_500)
        #expect(due(2_100, at: 5_500) == 5_500)
        #expect(due(2_100, at: 5_520) == 5_500, "no more than once")
        #expect(due(5_400, at: 5_520) == 5_400)
        #expect(due(6_000, at: 9_000) == 9_500)
    }

    /// The thread hangs in what it does for the first one, as all of a process does that is stopped.
    @Test func whereTheThreadItselfWasStoppedWhatIsDueIsToldAMomentLater() async throws {
        let deadlines = Deadlines(.milliseconds(10))
        let (gate, last) = (Gate(), Arrival())
        deadlines.add { gate.pass() }
        await gate.entered()
        let told = Atomic<UInt64>(0)
        deadlines.add {
            told.store(monotonicNanoseconds(), ordering: .relaxed)
            last.announce()
        }
        // Longer than the machine's ordinary work.
        try await Task.sleep(for: .milliseconds(600))
        let resumed = monotonicNanoseconds()
        gate.open()
        await last.wait()
        #expect(told.load(ordering: .relaxed) - resumed >= 500_000_000)
        await deadlines.close()
    }

    @Test func oneThatComesBehindCancelledOnesIsTold() async {
        let deadlines = Deadlines(.milliseconds(10))
        for _ in 0..<100 { deadlines.add { Issue.record("It was cancelled.") }.cancel() }
        let arrival = Arrival()
        deadlines.add { arrival.announce() }
        await arrival.wait()
        await deadlines.close()
    }
}
