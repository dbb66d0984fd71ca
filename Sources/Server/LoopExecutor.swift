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

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        date = .makeBoxSendingValue(DateHeader(), eventLoop: eventLoop)
        flushes = .makeBoxSendingValue(LoopFlushes(eventLoop), eventLoop: eventLoop)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
