import Logging
import NIOHTTP1
import Synchronization
import TurnpikeKit

/// Writes the failures of exchanges into the log.
///
/// Faults of ours get a line each. What a part that is away refuses, request by request, gets few (``FailureLog``): the
/// activity rows have them all. What clients and upstreams do wrong is for `debug`.
final class FailureReporter: Sendable {
    private let outages = Mutex(FailureLog())
    /// Looked at by every exchange, so it is no lock.
    private let hasOutage = Atomic(false)
    private let clock: GatewayClock
    private let logger: Logger

    init(_ clock: GatewayClock, _ logger: Logger) {
        self.clock = clock
        self.logger = logger
    }

    /// To be called with each failure.
    func report(_ failure: GatewayError, in exchange: Exchange) {
        let isOurs = failure.status.code >= 500 && (failure.source == .gateway || failure.source == .plugin)
        guard isOurs else { return write(.debug, failure, exchange) }
        guard failure.status == .serviceUnavailable else { return write(.error, failure, exchange) }
        let line = outages.withLock { $0.add(failure.code, at: clock.monotonicNanoseconds()) }
        hasOutage.store(true, ordering: .relaxed)
        switch line {
        case .begins: write(.error, failure, exchange)
        case .goesOn(let count): write(.error, failure, exchange, ["since_last": "\(count)"])
        case .ended, nil: write(.debug, failure, exchange)
        }
    }

    /// To be called with each exchange that did not fail: says which outages are over.
    func noteSuccess() {
        guard hasOutage.load(ordering: .relaxed) else { return }
        let ended = outages.withLock { outages in
            let ended = outages.takeEnded(at: clock.monotonicNanoseconds())
            if outages.isEmpty { hasOutage.store(false, ordering: .relaxed) }
            return ended
        }
        for case .ended(let code, let count) in ended {
            logger.notice("Exchanges no longer fail.", metadata: ["code": "\(code)", "failed": "\(count)"])
        }
    }

    private func write(
        _ level: Logger.Level, _ failure: GatewayError, _ exchange: Exchange, _ more: Logger.Metadata = [:]
    ) {
        var metadata: Logger.Metadata = [
            "error": "\(String(reflecting: failure))", "path": "\(exchange.head.path)",
        ]
        metadata.merge(more) { first, _ in first }
        exchange.logger.log(level: level, "An exchange failed.", metadata: metadata)
    }
}
