import TurnpikeKit

/// Registers what records the exchange at its end. It stands first in the chain, so its finisher runs last and sees
/// what the others noted.
struct ActivityMiddleware: Middleware {
    let recorder: ActivityRecorder

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        exchange.onFinish { [recorder] outcome in recorder.record(ActivityRow(exchange, outcome)) }
        return try await next(request)
    }
}
