import Synchronization

/// A bound on the bytes that all exchanges hold in memory together (`server.max_buffered`): collected requests, stored
/// messages that were read, answers that are being captured.
package final class BufferBudget: Sendable {
    /// Bytes that may be held.
    package let limit: Int
    private let used = Atomic<Int>(0)

    package init(limit: Int) { self.limit = limit }

    /// Bytes held now.
    package var usedBytes: Int { used.load(ordering: .relaxed) }

    /// Takes `count` bytes, or says why not. Every success is paired with a `release`.
    package func reserve(_ count: Int) -> GatewayError? {
        let total = used.wrappingAdd(count, ordering: .relaxed).newValue
        guard total > limit else { return nil }
        used.wrappingSubtract(count, ordering: .relaxed)
        return .unavailable(
            "server_overloaded", "The server holds as many requests and answers as it may. Try again in a moment.",
            detail: "server.max_buffered of \(limit) bytes is used up")
    }

    package func release(_ count: Int) { used.wrappingSubtract(count, ordering: .relaxed) }
}
