import TurnpikeKit

/// Finds out who is asking, from `Authorization: Bearer`, and leaves the ``Principal`` in the exchange.
///
/// A key that was verified a while ago costs no task switch: one SHA-256 and a look into a table.
struct AuthMiddleware: Middleware {
    let verifier: KeyVerifier
    let clock: GatewayClock

    func pass(_ request: Request, in exchange: Exchange) throws -> Passing {
        guard let verdict = verifier.known(try PresentedKey(request.head.headers)) else { return .handle }
        exchange[PrincipalKey.self] = try principal(verdict)
        return .done
    }

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        let key = try PresentedKey(request.head.headers)
        let verdict = if let known = verifier.known(key) { known } else { try await verifier.verify(key) }
        exchange[PrincipalKey.self] = try principal(verdict)
        return try await next(request)
    }

    private func principal(_ verdict: Verdict) throws -> Principal {
        switch verdict {
        case .unknown: throw GatewayError.invalidKey
        case .revoked: throw GatewayError.revokedKey
        case .verified(let key):
            if let expires = key.expires, clock.wallMicroseconds() >= expires { throw GatewayError.expiredKey }
            return key.principal
        }
    }
}
