import NIOCore
import TurnpikeKit

/// Runs tasks on one event loop, so that an exchange's asynchronous steps need no hop between threads.
///
/// SwiftNIO offers a serial executor for actors but no task executor (2.101). One per loop and server.
final class LoopExecutor: TaskExecutor {
    let eventLoop: any EventLoop
    /// The `Date` header's value, shared by the loop's connections.
    let date: NIOLoopBoundBox<DateHeader>
    /// The writes of the loop's connections.
    let flushes: NIOLoopBoundBox<LoopFlushes>
    /// The tasks that carry the loop's exchanges.
    let tasks: NIOLoopBoundBox<ExchangeTasks>
    private let jobs: NIOLoopBoundBox<LoopJobs>

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        date = .makeBoxSendingValue(DateHeader(), eventLoop: eventLoop)
        flushes = .makeBoxSendingValue(LoopFlushes(eventLoop), eventLoop: eventLoop)
        tasks = .makeBoxSendingValue(ExchangeTasks(), eventLoop: eventLoop)
        jobs = .makeBoxSendingValue(LoopJobs(), eventLoop: eventLoop)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        guard eventLoop.inEventLoop else {
            return eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        }
        switch jobs.value.add(job) {
        case .runNow: job.runSynchronously(on: asUnownedTaskExecutor())
        case .drainLater: eventLoop.execute { self.runJobs() }
        case .drainAwaited: break
        }
    }

    /// Runs the task that `resume` resumes before this returns, up to where it waits again. On the loop.
    func runAtOnce(_ resume: () -> Void) {
        jobs.value.isImmediate = true
        resume()
        jobs.value.isImmediate = false
    }

    private func runJobs() {
        for job in jobs.value.takeAll() { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}

/// The tasks of one loop that go on at the end of its turn: one task of the loop's for all of them.
private final class LoopJobs {
    enum Step {
        case runNow
        /// Somebody has to see to it that they are run.
        case drainLater
        case drainAwaited
    }

    /// Whether the next one is run at once.
    var isImmediate = false
    private var jobs: [UnownedJob] = []

    func add(_ job: UnownedJob) -> Step {
        if isImmediate {
            isImmediate = false
            return .runNow
        }
        jobs.append(job)
        return jobs.count == 1 ? .drainLater : .drainAwaited
    }

    /// What is added from here on waits for another turn.
    func takeAll() -> [UnownedJob] {
        var taken: [UnownedJob] = []
        taken.reserveCapacity(jobs.capacity)
        swap(&taken, &jobs)
        return taken
    }
}
