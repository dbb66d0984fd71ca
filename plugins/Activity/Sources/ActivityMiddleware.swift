import NIOHTTP1
import TurnpikeKit

/// Registers what records the exchange at its end. It stands first in the chain, so its finisher runs last and sees
/// what the others noted. Of an answer that no step read, it reads the provider's token counts in passing.
struct ActivityMiddleware: Middleware {
    let recorder: ActivityRecorder

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        let tail = UsageTail()
        exchange.onFinish { [recorder] outcome in
            var row = ActivityRow(exchange, outcome)
            if row.facts.usage == nil { row.facts.usage = tail.usage }
            row.cost = row.facts.cost
            recorder.record(row)
        }
        var response = try await next(request)
        guard response.status == .ok, let endpoint = exchange[EndpointKey.self], endpoint.reportsUsage else {
            return response
        }
        switch response.body {
        case .bytes(let bytes): tail.append(bytes)
        case .stream(let source): response.body = .stream(ObservedBody(source, tail: tail))
        case .empty: break
        }
        return response
    }
}

extension Endpoint {
    fileprivate var reportsUsage: Bool {
        switch self {
        case .chatCompletions, .json: true
        case .models, .streamed, .stateful, .unknown: false
        }
    }
}
