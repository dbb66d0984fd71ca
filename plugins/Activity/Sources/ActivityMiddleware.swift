import NIOHTTP1
import TurnpikeKit

/// Has the exchange recorded at its end. It stands first in the chain, so it is told of the end last and sees what the
/// others noted.
struct ActivityMiddleware: Middleware {
    let recorder: ActivityRecorder

    func pass(_ request: Request, in exchange: Exchange) -> Passing {
        exchange.observe(with: ExchangeRecording(recorder))
        return .done
    }

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        exchange.observe(with: ExchangeRecording(recorder))
        return try await next(request)
    }
}

/// Makes the row of one exchange. Of an answer that no step read, it reads the provider's token counts in passing.
private final class ExchangeRecording: ExchangeObserver {
    private let recorder: ActivityRecorder
    private let tail = UsageTail()

    init(_ recorder: ActivityRecorder) { self.recorder = recorder }

    func answered(_ exchange: Exchange, with response: inout Response) {
        guard response.status == .ok, let endpoint = exchange[EndpointKey.self], endpoint.reportsUsage else { return }
        switch response.body {
        case .bytes(let bytes): tail.append(bytes)
        case .stream(let source): response.body = .stream(ObservedBody(source, tail: tail))
        case .empty: break
        }
    }

    func ended(_ exchange: Exchange, _ outcome: Outcome) { recorder.record(RecordedRow(exchange, outcome, tail)) }
}

extension Endpoint {
    fileprivate var reportsUsage: Bool {
        switch self {
        case .chatCompletions, .json: true
        case .models, .streamed, .stateful, .unknown: false
        }
    }
}
