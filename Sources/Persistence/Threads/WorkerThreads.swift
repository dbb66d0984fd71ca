import NIOCore

/// A few threads that run blocking jobs in the order in which they came.
package final class WorkerThreads: Sendable {
    package typealias Job = @Sendable () -> Void

    private struct State {
        var jobs = CircularBuffer<Job>()
        var isClosed = false
    }

    private let monitor = Monitor(State())
    private let ended: Countdown
    private let limit: Int

    /// - Parameter limit: How many jobs may wait; further ones are refused with `overloaded`.
    package init(_ name: String, count: Int, limit: Int = 4_096) {
        self.limit = limit
        ended = Countdown(count)
        for index in 0..<count {
            BlockingThread.start("\(name)-\(index)") { [monitor, ended] in
                while let job = Self.next(monitor) { job() }
                ended.leave()
            }
        }
    }

    /// Runs `work` on one of the threads.
    ///
    /// A task that is cancelled waits no longer, so that a database that hangs does not hold up the end of the process;
    /// what it has handed over is done all the same.
    /// - Throws: `CancellationError` then.
    package func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        let answer = FirstAnswer<Value>()
        try submit { answer.give(Result { try work() }) }
        await withTaskCancellationHandler {
            await answer.arrival.wait()
        } onCancel: {
            answer.give(.failure(CancellationError()))
        }
        return try answer.take()
    }

    /// Hands a job over and does not wait for it. It must not throw, and tells its result itself.
    ///
    /// - Parameter followsJob: The caller is a job that ends behind this: its thread goes on with this one, and no other
    ///   has to be woken.
    package func submit(followsJob: Bool = false, _ job: @escaping Job) throws(DatabaseError) {
        let refusal: DatabaseError? = monitor.withLock { state in
            if state.isClosed { return DatabaseError(.unavailable, "the database is closed") }
            if state.jobs.count >= limit { return DatabaseError(.overloaded, "\(limit) accesses are waiting") }
            state.jobs.append(job)
            return nil
        }
        if let refusal { throw refusal }
        if !followsJob { monitor.signal() }
    }

    /// Takes no more jobs, finishes those that wait, and returns when the threads have ended.
    package func close() async {
        abandon()
        await ended.wait()
    }

    /// The same without waiting.
    func abandon() {
        monitor.withLock { $0.isClosed = true }
        monitor.broadcast()
    }

    private static func next(_ monitor: Monitor<State>) -> Job? {
        monitor.wait { state in
            if let job = state.jobs.popFirst() { return .found(job) }
            return state.isClosed ? .found(nil) : .wait
        }
    }
}
