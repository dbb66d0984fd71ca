import OpenAIWire
import Tokens
import TurnpikeKit

/// Tells the token counters what an upstream counted for a request in a session, where they could only estimate.
struct CalibrationReport {
    let counters: TokenCounters

    /// Larger requests are not counted for this: counting takes about a nanosecond for a byte, on the event loop.
    private static let longestBody = 256 << 10

    /// Has the report made when the exchange ends, if it is worth it. `request` is what was sent to `target`.
    func prepare(_ request: Request, to target: RouteTarget, in exchange: Exchange) async {
        guard target.facts?.encoding == nil, let model = target.model, exchange.fact({ $0.sessionID }) != nil,
            exchange[EndpointKey.self] == .chatCompletions,
            counters.calibration.wantsReport(
                of: model, ticket: UInt64(truncatingIfNeeded: exchange.startedMicroseconds)),
            let chat = try? await request.chatRequest(upTo: Self.longestBody)
        else { return }
        exchange.onFinish { [counters] _ in
            guard let prompt = exchange.fact({ $0.usage })?.prompt, prompt > 0 else { return }
            let counter = counters.counter(for: model)
            guard let count = try? counter.count(chat) else { return }
            counters.observe(model, count, by: counter, reported: prompt)
        }
    }
}
