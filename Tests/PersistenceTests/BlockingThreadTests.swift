import Glibc
import Testing

@testable import Persistence

@Suite struct BlockingThreadTests {
    @Test func aThreadThatIsWokenDoesNotTakeTheCoreOfAnotherOne() async {
        let policy = await withCheckedContinuation { continuation in
            BlockingThread.start("test") { continuation.resume(returning: sched_getscheduler(0)) }
        }
        #expect(policy == 3, "SCHED_BATCH of sched(7)")
        #expect(sched_getscheduler(0) == SCHED_OTHER, "only threads of its own")
    }
}
