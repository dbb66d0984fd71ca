import Persistence
import Synchronization
import Testing

@testable import Conversations

/// What waits for a time is told when it is over, and what no longer waits is let go of.
@Suite(.timeLimit(.minutes(1))) struct DeadlinesTests {
    /// Lives as long as somebody holds on to it.
    private final class Held: Sendable {}

    @Test func allAreToldInTheOrderInWhichTheyCame() async {
        let deadlines = Deadlines(.milliseconds(10))
        let (told, last) = (Mutex<[Int]>([]), Arrival())
        for number in 0..<3 { deadlines.add { told.withLock { $0.append(number) } } }
        deadlines.add { last.announce() }
        await last.wait()
        #expect(told.withLock { $0 } == [0, 1, 2])
        await deadlines.close()
    }

    @Test func whatWasCancelledIsLetGoOfAndNotTold() async {
        let deadlines = Deadlines(.seconds(3_600))
        let told = Mutex<[Int]>([])
        weak var held: Held?
        let tickets = (0..<3).map { number in
            let object = Held()
            if number == 1 { held = object }
            return deadlines.add {
                withExtendedLifetime(object) { told.withLock { $0.append(number) } }
            }
        }
        #expect(held != nil)
        tickets[1].cancel()
        #expect(held == nil)
        tickets[0].cancel()
        tickets[0].cancel()
        await deadlines.close()
        #expect(told.withLock { $0 } == [2])
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
