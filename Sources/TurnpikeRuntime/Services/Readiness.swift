import Synchronization

/// Whether Turnpike can do its work, and what is missing if not: what `/readyz` tells.
package final class Readiness: Sendable {
    private let missing: Mutex<[String]>

    /// `parts` are not ready until they say so.
    package init(waitingFor parts: [String]) { missing = Mutex(parts) }

    package func markReady(_ part: String) { missing.withLock { $0.removeAll { $0 == part } } }

    package func markMissing(_ part: String) {
        missing.withLock { if !$0.contains(part) { $0.append(part) } }
    }

    /// The parts that are not there; empty when everything is.
    package var missingParts: [String] { missing.withLock { $0 } }
}
