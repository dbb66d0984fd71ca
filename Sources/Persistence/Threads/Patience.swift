/// Waiting that has an end.
package enum Patience {
    /// Waits for `work`, but no longer than `limit`. The work goes on then, and is not cancelled with the caller's task:
    /// for the end of a process, which a database that hangs must not hold up.
    ///
    /// - Returns: Whether it has ended in time.
    @discardableResult
    package static func wait(_ limit: Duration, for work: @escaping @Sendable () async -> Void) async -> Bool {
        let answer = FirstAnswer<Bool>()
        let timer = Task {
            // Cancelled when the work has ended: then the answer is there.
            try? await Task.sleep(for: limit)
            answer.give(.success(false))
        }
        Task {
            await work()
            answer.give(.success(true))
            timer.cancel()
        }
        await answer.arrival.wait()
        return (try? answer.take()) ?? false
    }
}
