import NIOHTTP1
import TurnpikeKit

extension GatewayError {
    static let headTimeout = GatewayError(
        .client, .requestTimeout, code: "request_timeout", "The request's head did not arrive in time.", retry: .safe)

    static let bodyTimeout = GatewayError(
        .client, .requestTimeout, code: "request_timeout", "The request's body did not arrive in time.", retry: .safe)

    static let tooManyConnections = GatewayError.unavailable(
        "too_many_connections", "The server has as many connections as it may. Try again in a moment.",
        detail: "server.max_connections is reached")

    /// The answer's source delivered another number of bytes than its `Content-Length` promised.
    static func wrongLength(promised: Int, delivered: Int) -> GatewayError {
        GatewayError(
            .upstream, .badGateway, code: "upstream_protocol_error", "The upstream's answer broke off.",
            detail: "Content-Length \(promised), but \(delivered) bytes or more were delivered", retry: .unsafe)
    }

    /// What llhttp refused, in words for the client.
    static func unreadable(_ error: HTTPParserError) -> GatewayError {
        switch error {
        case .headerOverflow: return .headTooLarge
        case .invalidVersion:
            return GatewayError(
                .client, .httpVersionNotSupported, code: "http_version_not_supported",
                "The request line must end in HTTP/1.1 or HTTP/1.0 and CR LF.")
        default:
            return GatewayError(
                .client, .badRequest, code: "malformed_request", "The request is not well-formed HTTP/1.1.",
                detail: "\(error)")
        }
    }

    static let headTooLarge = GatewayError(
        .client, .requestHeaderFieldsTooLarge, code: "request_head_too_large",
        "The request line and headers are larger than this server accepts.")
}
