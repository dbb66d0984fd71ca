import Synchronization

/// What one holder has taken of a ``BufferBudget``. It is given back when the last reference goes, so that no way out of
/// an exchange can forget it.
package final class BufferReservation: Sendable {
    /// A bound on this reservation alone, and the error beyond it.
    package struct Limit: Sendable {
        let bytes: Int
        /// Made for whoever meets the bound: hardly anybody does.
        let error: @Sendable () -> GatewayError

        package init(bytes: Int, error: @autoclosure @escaping @Sendable () -> GatewayError) {
            self.bytes = bytes
            self.error = error
        }
    }

    /// The smallest step in which `cover` takes more, and the largest that it takes ahead of need.
    private static let steps = 4 << 10...256 << 10

    private let budget: BufferBudget?
    private let limit: Limit?
    private let taken = Mutex(0)

    /// Without a budget everything is granted, as far as `limit` allows.
    package init(_ budget: BufferBudget?, limit: Limit? = nil) {
        self.budget = budget
        self.limit = limit
    }

    deinit { release() }

    /// An empty one of the same budget, without this one's limit.
    package func another() -> BufferReservation { BufferReservation(budget) }

    /// Bytes held now.
    package var bytes: Int { taken.withLock { $0 } }

    /// Takes `count` bytes more, before the memory is used. Throws the limit's error, or 503 for the joint bound.
    package func take(_ count: Int) throws(GatewayError) {
        guard count > 0 else { return }
        let refusal = taken.withLock { taken -> GatewayError? in
            if let limit, taken + count > limit.bytes { return limit.error() }
            if let refusal = budget?.reserve(count) { return refusal }
            taken += count
            return nil
        }
        if let refusal { throw refusal }
    }

    /// Makes sure that `bytes` are held in all. Takes more than that where it can, so that what grows by a few bytes at
    /// a time asks seldom.
    package func cover(_ bytes: Int) throws(GatewayError) {
        let held = self.bytes
        guard bytes > held else { return }
        let ahead = max(bytes - held, min(max(held, Self.steps.lowerBound), Self.steps.upperBound))
        do {
            try take(ahead)
        } catch {
            try take(bytes - held)
        }
    }

    /// Gives back what is held beyond `bytes`.
    package func shrink(to bytes: Int) {
        let excess = taken.withLock { taken in
            defer { taken = min(taken, bytes) }
            return max(0, taken - bytes)
        }
        if excess > 0 { budget?.release(excess) }
    }

    /// Gives everything back; more may be taken again.
    package func release() { shrink(to: 0) }
}

extension Exchange {
    /// A reservation of this exchange. Keep it as long as the memory that it stands for.
    package func reservation(limit: BufferReservation.Limit? = nil) -> BufferReservation {
        BufferReservation(budget, limit: limit)
    }

    /// Keeps what is held until the exchange is over.
    package func keepToEnd(_ reservation: BufferReservation) { onFinish { _ in reservation.release() } }
}
