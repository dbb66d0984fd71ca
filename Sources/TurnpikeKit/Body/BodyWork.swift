import Persistence

/// Work whose time grows with the length of a body: done at once where the body is small, and away from the event loops
/// where it is large, so that one client's megabytes do not hold up the others on its loop.
///
/// Two threads for the whole process, in the order in which work comes: what waits is bounded by the exchanges, and its
/// bodies by ``BufferBudget``.
package enum BodyWork {
    /// From here on work moves: parsing 64 KB takes some 50 µs, which is what moving to a thread and back costs.
    package static let largeBytes = 64 << 10

    /// Whether work on `byteCount` bytes is done where it is asked for: then nobody has to wait for it.
    package static func isSmall(_ byteCount: Int) -> Bool { byteCount < largeBytes }

    private static let threads = WorkerThreads("bodies", count: 2, limit: .max)

    /// Runs `work`, which looks at about `byteCount` bytes, and returns where the caller was.
    ///
    /// A task that is cancelled meanwhile still waits for the end of it.
    package static func run<Value: Sendable>(
        on byteCount: Int, _ work: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        if isSmall(byteCount) { return try work() }
        return try await threads.run(work)
    }
}
