import NIOHTTP1
import TurnpikeKit

/// Which headers pass from one side to the other. Everything does, but for these.
///
/// Names are compared by length first and without copies: this runs for every header of every request and answer.
enum HeaderPolicy {
    /// - Parameter authorization: The provider's, in place of the client's.
    static func request(_ headers: HTTPHeaders, authorization: String?) -> HTTPHeaders {
        filter(headers, adding: authorization.map { ("Authorization", $0) }) {
            isHopByHop($0) || $0.equalsIgnoringCase("content-length") || isForRequestsOnly($0)
        }
    }

    /// Keeps `Content-Length`: an answer that nobody reworks is framed as it came.
    static func response(_ headers: HTTPHeaders) -> HTTPHeaders {
        // Most answers have none of them, and keep their list.
        guard headers.contains(where: { name, _ in isDeniedInResponses(name) }) else { return headers }
        return filter(headers, denied: isDeniedInResponses)
    }

    private static func isDeniedInResponses(_ name: String) -> Bool { isHopByHop(name) || isForResponsesOnly(name) }

    @inline(__always) private static func filter(
        _ headers: HTTPHeaders, adding more: (String, String)? = nil, denied: (String) -> Bool
    ) -> HTTPHeaders {
        var passed: [(String, String)] = []
        passed.reserveCapacity(headers.count + 1)
        var namesMore = false
        for (name, value) in headers {
            if denied(name) {
                if name.equalsIgnoringCase("connection") { namesMore = true }
            } else {
                passed.append((name, value))
            }
        }
        if namesMore { passed = removingNamed(by: headers, from: passed) }
        if let more { passed.append(more) }
        return HTTPHeaders(passed)
    }

    /// Without the headers that `Connection` names: they are for one connection only, too.
    private static func removingNamed(
        by headers: HTTPHeaders, from fields: [(String, String)]
    ) -> [(String, String)] {
        let named = headers["connection"].flatMap { $0.split(separator: ",") }.map {
            String($0.filter { $0 != " " }).lowercased()
        }
        return fields.filter { !named.contains($0.0.lowercased()) }
    }

    /// For one connection only (RFC 9110, section 7.6.1), or about the framing, which each side decides for itself.
    private static func isHopByHop(_ name: String) -> Bool {
        switch name.utf8.count {
        case 4: name.equalsIgnoringCase("host")
        case 6: name.equalsIgnoringCase("expect")
        case 18: name.equalsIgnoringCase("proxy-authenticate")
        case 19: name.equalsIgnoringCase("proxy-authorization")
        default: name.isFieldOfConnection
        }
    }

    /// The client's credentials, the page it comes from and its place in the network, which are none of the provider's
    /// business; what selects an account belongs to the provider's credential. Nor may a header name another method,
    /// path or proxy than the request does: some servers obey it, and the endpoint would not be the one that was let
    /// through.
    private static func isForRequestsOnly(_ name: String) -> Bool {
        switch name.utf8.count {
        case 3: if name.equalsIgnoringCase("via") { return true }
        case 5: if name.equalsIgnoringCase("proxy") { return true }
        case 6: if name.equalsIgnoringCase("cookie") { return true }
        case 7: if name.equalsIgnoringCase("referer") { return true }
        case 9:
            if name.equalsIgnoringCase("forwarded") || name.equalsIgnoringCase("x-real-ip") { return true }
        case 12: if name.equalsIgnoringCase("x-session-id") { return true }
        case 14:
            if name.equalsIgnoringCase("x-history-mode") || name.equalsIgnoringCase("openai-project")
                || name.equalsIgnoringCase("true-client-ip")
            {
                return true
            }
        case 11: if name.equalsIgnoringCase("x-client-ip") { return true }
        case 17: if name.equalsIgnoringCase("x-method-override") { return true }
        case 19: if name.equalsIgnoringCase("openai-organization") { return true }
        default: break
        }
        if isCredential(name) { return true }
        // All that follows begins with one of two letters, and most headers with neither.
        guard let first = name.utf8.first, first | 0x20 == UInt8(ascii: "x") || first | 0x20 == UInt8(ascii: "c") else {
            return false
        }
        return name.hasPrefixIgnoringCase("x-forwarded-") || name.hasPrefixIgnoringCase("x-turnpike-")
            || name.hasPrefixIgnoringCase("cf-") || name.hasPrefixIgnoringCase("x-envoy-")
            || name.hasPrefixIgnoringCase("x-http-method") || name.hasPrefixIgnoringCase("x-original-")
            || name.hasPrefixIgnoringCase("x-rewrite-") || name.hasPrefixIgnoringCase("x-portkey-")
    }

    /// By how names of credentials end, whoever they are for: `X-Api-Key`, `X-Auth-Token`, `Helicone-Auth`. One of them
    /// is none: the client's `Idempotency-Key` is unique among its own requests, not in the account that all users
    /// share, where another user's could bring that user's answer.
    private static func isCredential(_ name: String) -> Bool {
        guard let last = name.utf8.last else { return false }
        return switch last | 0x20 {
        case UInt8(ascii: "y"): name.hasSuffixIgnoringCase("-key") || name.hasSuffixIgnoringCase("apikey")
        case UInt8(ascii: "n"): name.hasSuffixIgnoringCase("authorization") || name.hasSuffixIgnoringCase("-token")
        case UInt8(ascii: "h"): name.hasSuffixIgnoringCase("-auth")
        case UInt8(ascii: "t"): name.hasSuffixIgnoringCase("-secret")
        default: false
        }
    }

    /// Cookies of the provider's must not reach our users, nor may its credential, should it send that back, or whose
    /// account it is; its policies are about its own host name; and which session an answer belongs to is ours to say.
    private static func isForResponsesOnly(_ name: String) -> Bool {
        switch name.utf8.count {
        case 7: if name.equalsIgnoringCase("alt-svc") { return true }
        case 10: if name.equalsIgnoringCase("set-cookie") { return true }
        case 12: if name.equalsIgnoringCase("x-session-id") { return true }
        case 13: if name.equalsIgnoringCase("authorization") { return true }
        case 14: if name.equalsIgnoringCase("openai-project") { return true }
        case 15: if name.equalsIgnoringCase("public-key-pins") { return true }
        case 19: if name.equalsIgnoringCase("openai-organization") { return true }
        case 25: if name.equalsIgnoringCase("strict-transport-security") { return true }
        default: break
        }
        return name.hasPrefixIgnoringCase("x-turnpike-")
    }
}
