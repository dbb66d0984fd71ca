import Glibc
import Synchronization

/// A named place on the way of a turn at which a test may have the process kill itself.
///
/// `TURNPIKE_CRASH_AT=after-commit:3` sends SIGKILL to the process when that point is passed for the third time; without
/// the variable a point costs one comparison. The variable is read once, and is for crash tests only.
///
/// In the order in which a turn passes them:
///
/// | point | where |
/// |---|---|
/// | `before-reserve`, `after-reserve` | room in the spool, before the upstream is called |
/// | `before-lane` | the answer is there, and its turn goes to the database's lane |
/// | `after-begin` | the transaction of a batch of turns has begun |
/// | `before-commit`, `after-commit` | around its COMMIT; after it nobody was told yet |
/// | `before-release` | the turn is safe, its client was not told yet |
/// | `before-spool-write`, `before-spool-sync`, `after-spool-sync` | a turn on its way into the spool |
/// | `before-replay`, `after-replay` | around the commit of a turn that was spooled; not acknowledged yet |
/// | `after-acknowledge` | the spool has forgotten the turn |
package enum CrashPoint: String, CaseIterable, Sendable {
    case beforeReserve = "before-reserve"
    case afterReserve = "after-reserve"
    case beforeLane = "before-lane"
    case afterBegin = "after-begin"
    case beforeCommit = "before-commit"
    case afterCommit = "after-commit"
    case beforeRelease = "before-release"
    case beforeSpoolWrite = "before-spool-write"
    case beforeSpoolSync = "before-spool-sync"
    case afterSpoolSync = "after-spool-sync"
    case beforeReplay = "before-replay"
    case afterReplay = "after-replay"
    case afterAcknowledge = "after-acknowledge"

    private static let chosen: Choice? = getenv("TURNPIKE_CRASH_AT").flatMap { Choice(String(cString: $0)) }

    /// Ends the process here if it was asked for.
    @inline(__always)
    package func pass() {
        guard let chosen = Self.chosen else { return }
        chosen.pass(self)
    }

    /// A point and how often it is passed.
    final class Choice: Sendable {
        let point: CrashPoint
        private let remaining: Mutex<Int>

        /// Reads `point:n`; nil for anything else.
        init?(_ text: String) {
            let parts = text.split(separator: ":", maxSplits: 1)
            guard let point = parts.first.flatMap({ CrashPoint(rawValue: String($0)) }),
                let count = parts.count == 2 ? Int(parts[1]) : 1, count > 0
            else { return nil }
            self.point = point
            remaining = Mutex(count)
        }

        func pass(_ passed: CrashPoint) {
            guard isLast(passed) else { return }
            kill(getpid(), SIGKILL)
        }

        /// Whether this is the time that was chosen.
        func isLast(_ passed: CrashPoint) -> Bool {
            guard passed == point else { return false }
            return remaining.withLock { remaining in
                remaining -= 1
                return remaining == 0
            }
        }
    }
}
