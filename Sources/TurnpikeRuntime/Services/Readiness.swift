import Synchronization

/// Whether Turnpike can do its work, what is missing if not, and what its parts report: what `/readyz` tells.
package final class Readiness: Sendable {
    /// A part that is not there, and why. The reason is shown to whoever asks: no values, no credentials.
    package struct Missing: Sendable, Equatable {
        package var part: String
        package var reason: String

        package init(_ part: String, _ reason: String) {
            self.part = part
            self.reason = reason
        }
    }

    /// What a part says about itself beyond being there.
    package struct Report: Sendable {
        package var part: String
        /// What an operator should mend although requests are served.
        package var problems: [String] = []
        /// Depths, ages, counts.
        package var numbers: [(name: String, value: Int)] = []

        package init(_ part: String, problems: [String] = [], numbers: [(name: String, value: Int)] = []) {
            self.part = part
            self.problems = problems
            self.numbers = numbers
        }
    }

    private let state: Mutex<[Missing]>
    private let reporters = Mutex<[@Sendable () -> Report]>([])

    /// `parts` are not ready until they say so.
    package init(waitingFor parts: [String]) { state = Mutex(parts.map { Missing($0, "not tried yet") }) }

    package func markReady(_ part: String) { state.withLock { $0.removeAll { $0.part == part } } }

    package func markMissing(_ part: String, because reason: String) {
        state.withLock { missing in
            if let index = missing.firstIndex(where: { $0.part == part }) {
                missing[index].reason = reason
            } else {
                missing.append(Missing(part, reason))
            }
        }
    }

    /// The parts that are not there; empty when everything is.
    package var missing: [Missing] { state.withLock { $0 } }

    /// Asks `reporter` whenever somebody wants to know. It must not block.
    package func addReporter(_ reporter: @escaping @Sendable () -> Report) {
        reporters.withLock { $0.append(reporter) }
    }

    package var reports: [Report] { reporters.withLock { $0 }.map { $0() } }
}
