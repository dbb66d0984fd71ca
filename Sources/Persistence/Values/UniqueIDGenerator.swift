import Synchronization

/// Makes UUIDs of version 7 that grow strictly within the process, even when many are made in one millisecond and
/// when the clock is set back.
///
/// The twelve bits behind the time are a counter (RFC 9562, section 6.2, method 1) that starts at a random value below
/// 2,048 in each millisecond; when it overflows, the time runs ahead of the clock by a millisecond.
package final class UniqueIDGenerator: Sendable {
    package static let shared = UniqueIDGenerator(now: Timestamp.now)

    private struct State {
        var millisecond: UInt64 = 0
        var counter: UInt64 = 0
    }

    private let now: @Sendable () -> Timestamp
    private let state = Mutex(State())

    package init(now: @escaping @Sendable () -> Timestamp) {
        self.now = now
    }

    package func next() -> UniqueID {
        var random = SystemRandomNumberGenerator()
        let clock = UInt64(max(0, now().microseconds / 1_000))
        let tail: UInt64 = random.next()
        let start: UInt64 = random.next() & 0x7FF
        let (millisecond, counter) = state.withLock { state in
            if clock > state.millisecond {
                state = State(millisecond: clock, counter: start)
            } else if state.counter < 0xFFF {
                state.counter += 1
            } else {
                state = State(millisecond: state.millisecond + 1, counter: start)
            }
            return (state.millisecond, state.counter)
        }
        return UniqueID(high: millisecond << 16 | 0x7000 | counter, low: tail >> 2 | 0x8000_0000_0000_0000)
    }
}
