/// How often, and after which pauses, a transaction is tried again. Pauses block a database thread, nothing else.
package struct RetryPolicy: Sendable {
    /// Attempts in all.
    package var attempts: Int
    /// The mean pause before the second attempt; it doubles with each further one.
    package var firstPause: Duration
    /// Blocks the thread. Injected, so that tests need not wait.
    package var pause: @Sendable (Duration) -> Void

    package static let standard = RetryPolicy(attempts: 8, firstPause: .milliseconds(2), pause: block)

    package init(attempts: Int, firstPause: Duration, pause: @escaping @Sendable (Duration) -> Void) {
        self.attempts = attempts
        self.firstPause = firstPause
        self.pause = pause
    }

    /// Tries `body` until it succeeds, fails with an error that is not `retryable`, or the attempts are used up.
    package func attempt<Value>(when retryable: (DatabaseError) -> Bool, _ body: () throws -> Value) throws -> Value {
        var failed = 0
        while true {
            do {
                return try body()
            } catch let error as DatabaseError where failed + 1 < attempts && retryable(error) {
                failed += 1
                pause(jittered(failed))
            }
        }
    }

    /// Between a half and one and a half times the mean, so that those that met do not meet again.
    private func jittered(_ failed: Int) -> Duration {
        firstPause * Double(1 << min(failed - 1, 6)) * Double.random(in: 0.5...1.5)
    }

    private static let block: @Sendable (Duration) -> Void = { duration in
        BlockingThread.sleep(nanoseconds: wholeNanoseconds(of: duration))
    }
}
