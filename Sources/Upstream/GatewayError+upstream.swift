import NIOHTTP1
import TurnpikeKit

/// What can go wrong with an upstream, as the rest of Turnpike and the client see it.
extension GatewayError {
    /// No connection: nothing was sent.
    static func upstreamUnreachable(_ detail: String) -> GatewayError {
        GatewayError(
            .upstream, .badGateway, code: "upstream_unreachable", "The upstream service could not be reached.",
            detail: detail, retry: .safe)
    }

    /// The connection broke before the answer was complete.
    static func upstreamConnectionFailed(_ detail: String, retry: Retry) -> GatewayError {
        GatewayError(
            .upstream, .badGateway, code: "upstream_connection_failed",
            "The connection to the upstream service broke before its answer was complete.", detail: detail, retry: retry
        )
    }

    /// The TLS handshake failed: nothing was sent.
    static func upstreamTLS(_ detail: String) -> GatewayError {
        GatewayError(
            .upstream, .badGateway, code: "upstream_tls_failed",
            "A secure connection to the upstream service could not be made.", detail: detail, retry: .safe)
    }

    /// The upstream was too slow; `detail` says in what.
    static func upstreamTimeout(_ detail: String, retry: Retry) -> GatewayError {
        GatewayError(
            .upstream, .gatewayTimeout, code: "upstream_timeout", "The upstream service did not answer in time.",
            detail: detail, retry: retry)
    }

    /// What the upstream sent is not a valid answer.
    static func upstreamProtocol(_ detail: String) -> GatewayError {
        GatewayError(
            .upstream, .badGateway, code: "upstream_protocol_error",
            "The upstream service sent an answer that cannot be read.", detail: detail, retry: .unsafe)
    }

    /// The request cannot be sent as it is; nothing was sent. The fault is in what the chain made of it, or in the
    /// configured address. `what` never quotes a value: it may be a secret.
    static func upstreamRequestInvalid(_ what: String) -> GatewayError {
        GatewayError(
            .gateway, .badGateway, code: "upstream_request_invalid",
            "The request cannot be sent to the upstream service.", detail: what, retry: .pointless)
    }
}
