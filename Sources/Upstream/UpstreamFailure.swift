import CCurl
import NIOCore
import TurnpikeKit

/// Turns libcurl's and SwiftNIO's results into errors of ours.
enum UpstreamFailure {
    /// `mayHaveBeenSeen`: whether anything of the request may have reached the upstream.
    static func error(_ code: CURLcode, detail: String, mayHaveBeenSeen: Bool) -> GatewayError {
        let retry: GatewayError.Retry = mayHaveBeenSeen ? .unsafe : .safe
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT, CURLE_PROXY:
            return mayHaveBeenSeen
                ? .upstreamConnectionFailed(detail, retry: .unsafe) : .upstreamUnreachable(detail)
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR,
            CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_ENGINE_INITFAILED, CURLE_SSL_INVALIDCERTSTATUS,
            CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_USE_SSL_FAILED, CURLE_SSL_CRL_BADFILE, CURLE_SSL_CLIENTCERT:
            return .upstreamTLS(detail)
        case CURLE_OPERATION_TIMEDOUT: return .upstreamTimeout(detail, retry: retry)
        case CURLE_URL_MALFORMAT: return .upstreamRequestInvalid(detail)
        case CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY:
            return mayHaveBeenSeen ? .upstreamProtocol(detail) : .upstreamRequestInvalid(detail)
        default: return .upstreamConnectionFailed(detail, retry: retry)
        }
    }

    /// No connection came about: nothing was sent.
    static func error(connecting error: any Error) -> GatewayError {
        if case ChannelError.connectTimeout = error {
            return .upstreamTimeout("no connection within the connect time-out", retry: .safe)
        }
        return .upstreamUnreachable(String(describing: error))
    }

    /// One of our own time-outs ran out.
    static func error(_ expiry: TransferStateMachine.Expiry, mayHaveBeenSeen: Bool) -> GatewayError {
        let detail =
            switch expiry {
            case .firstByte: "no head within the first-byte time-out"
            case .idle: "nothing moved within the idle time-out"
            case .total: "not complete within the total time-out"
            }
        return .upstreamTimeout(detail, retry: mayHaveBeenSeen ? .unsafe : .safe)
    }
}

/// Keeps credentials out of error texts.
enum Redaction {
    /// `text` without the user and password that stand in the request's URL or its proxy's.
    static func withoutUserInfo(_ text: String, _ request: PreparedRequest) -> String {
        var text = text
        for url in [request.url, request.connection.proxy ?? ""] {
            guard let secret = userInfo(of: url) else { continue }
            text = text.replacing(secret, with: "…")
            for part in secret.split(separator: ":") { text = text.replacing(part, with: "…") }
        }
        return text
    }

    private static func userInfo(of url: String) -> Substring? {
        let afterScheme = url.firstRange(of: "://").map { url[$0.upperBound...] } ?? url[...]
        let authority = afterScheme.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard let at = authority.lastIndex(of: "@"), at > authority.startIndex else { return nil }
        return authority[..<at]
    }
}
