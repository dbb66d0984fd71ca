/// Whether it is worth connecting now: an outage must cost each exchange microseconds, not a time-out.
///
/// `up → down → probing → up | down`. Any number may connect while it is up; after a failure one at a time tries, after
/// pauses that double up to a second, and everybody else is told at once that the database is away.
struct Reachability {
    enum Admission: Equatable {
        /// Connect, and report how it went.
        case connect
        case refused
    }

    private enum State {
        case up
        case down(until: UInt64, failures: Int)
        case probing(failures: Int)
    }

    private static let firstPause: UInt64 = 25_000_000
    private static let longestPause: UInt64 = 1_000_000_000

    private var state = State.up

    mutating func admit(at now: UInt64) -> Admission {
        switch state {
        case .up: return .connect
        case .down(let until, _) where now < until: return .refused
        case .down(_, let failures):
            state = .probing(failures: failures)
            return .connect
        case .probing: return .refused
        }
    }

    mutating func succeeded() { state = .up }

    /// - Parameter jitter: From 0.5 to 1.5, so that processes that lost the server together come back apart.
    mutating func failed(at now: UInt64, jitter: Double) {
        let failures: Int
        switch state {
        case .up: failures = 1
        case .probing(let before): failures = before + 1
        // Another one that connected while it was still up.
        case .down: return
        }
        let pause = min(Self.longestPause, Self.firstPause << UInt64(min(failures - 1, 6)))
        state = .down(until: now + UInt64(Double(pause) * jitter), failures: failures)
    }
}
