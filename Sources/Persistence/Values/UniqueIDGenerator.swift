import Glibc
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
        var random = RandomWords()
    }

    private let now: @Sendable () -> Timestamp
    private let state = Mutex(State())

    package init(now: @escaping @Sendable () -> Timestamp) {
        self.now = now
    }

    package func next() -> UniqueID {
        let clock = UInt64(max(0, now().microseconds / 1_000))
        return state.withLock { state in
            if clock > state.millisecond {
                state.millisecond = clock
                state.counter = state.random.next() & 0x7FF
            } else if state.counter < 0xFFF {
                state.counter += 1
            } else {
                state.millisecond += 1
                state.counter = state.random.next() & 0x7FF
            }
            return UniqueID(
                high: state.millisecond << 16 | 0x7000 | state.counter,
                low: state.random.next() >> 2 | 0x8000_0000_0000_0000)
        }
    }
}

/// The system's random numbers, fetched 32 at a time: `SystemRandomNumberGenerator` makes a system call for each.
private struct RandomWords {
    private var words: [UInt64] = []

    mutating func next() -> UInt64 {
        if let word = words.popLast() { return word }
        var system = SystemRandomNumberGenerator()
        words = Array(repeating: 0, count: 32)
        // Up to 256 bytes are given at once and whole (getentropy(3)); a kernel without it is asked word by word.
        let result = words.withUnsafeMutableBytes { getentropy($0.baseAddress, $0.count) }
        if result != 0 { words = words.map { _ in system.next() } }
        return words.popLast() ?? system.next()
    }
}
