import NIOHTTP1

/// Which headers pass from one side to the other. Everything does, but for these.
enum HeaderPolicy {
    /// For one connection only (RFC 9110, section 7.6.1) or about the framing, which each side decides for itself.
    private static let hopByHop: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect",
        "content-length", "host", "proxy-authenticate", "proxy-authorization",
    ]
    /// The client's credentials and its place in the network, which are none of the provider's business; what selects an
    /// account belongs to the provider's credential.
    private static let requestOnly: Set<String> = [
        "authorization", "cookie", "api-key", "x-api-key", "forwarded", "via", "x-real-ip", "x-session-id",
        "x-history-mode", "openai-organization", "openai-project",
    ]
    private static let requestPrefixes = ["x-forwarded-", "x-turnpike-", "cf-", "x-envoy-"]
    /// Cookies of the provider's must not reach our users, and its policies are about its own host name.
    private static let responseOnly: Set<String> = [
        "set-cookie", "alt-svc", "strict-transport-security", "public-key-pins",
    ]

    static func request(_ headers: HTTPHeaders) -> HTTPHeaders {
        filter(headers, also: requestOnly, prefixes: requestPrefixes)
    }

    /// Keeps `Content-Length`: an answer that nobody reworks is framed as it came.
    static func response(_ headers: HTTPHeaders) -> HTTPHeaders {
        var passed = filter(headers, also: responseOnly, prefixes: ["x-turnpike-"])
        if let length = headers.first(name: "content-length") { passed.add(name: "Content-Length", value: length) }
        return passed
    }

    private static func filter(_ headers: HTTPHeaders, also denied: Set<String>, prefixes: [String]) -> HTTPHeaders {
        let named = headers["connection"].flatMap { $0.split(separator: ",") }.map {
            String($0.filter { $0 != " " }).lowercased()
        }
        var passed = HTTPHeaders()
        passed.reserveCapacity(headers.count)
        for (name, value) in headers {
            let lower = name.lowercased()
            guard !hopByHop.contains(lower), !denied.contains(lower), !named.contains(lower),
                !prefixes.contains(where: lower.hasPrefix)
            else { continue }
            passed.add(name: name, value: value)
        }
        return passed
    }
}
