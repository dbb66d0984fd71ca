import Synchronization

/// A fixed number of counters that any thread adds to without a lock: a few nanoseconds each.
package final class AtomicCounters: Sendable {
    package let count: Int
    // Sendable in fact: the address never changes, and what lies there is atomic.
    private nonisolated(unsafe) let counters: UnsafeMutablePointer<Atomic<Int>>

    package init(count: Int) {
        self.count = count
        counters = .allocate(capacity: count)
        for index in 0..<count { (counters + index).initialize(to: Atomic(0)) }
    }

    deinit {
        counters.deinitialize(count: count)
        counters.deallocate()
    }

    package func add(_ amount: Int = 1, at index: Int) {
        precondition(index >= 0 && index < count, "there is no such counter")
        counters[index].wrappingAdd(amount, ordering: .relaxed)
    }

    package subscript(index: Int) -> Int {
        precondition(index >= 0 && index < count, "there is no such counter")
        return counters[index].load(ordering: .relaxed)
    }
}
