public import NIOHTTP1

/// Sends requests to upstream services. The implementation lives in `Upstream`: plain HTTP over SwiftNIO, TLS and proxies over libcurl.
public protocol UpstreamClient: Sendable {
    /// Sends `request` and returns when the answer's head is there; its body streams.
    ///
    /// Runs on the exchange's event loop. Cancelling the task closes the upstream connection, and so does cancelling the
    /// answer's body. Throws a ``GatewayError`` with the source `upstream`: 502 for what cannot be reached or breaks, 504
    /// for a time-out, with `retry` telling whether the upstream may have seen the request.
    func send(_ request: UpstreamRequest, in exchange: Exchange) async throws -> Response
}

/// A request as it goes upstream. The client sends these headers and only adds `Host` and the body's framing.
public struct UpstreamRequest: Sendable {
    public var method: HTTPMethod
    /// Absolute, from the configuration's base URL; percent-encoding untouched.
    public var url: String
    public var headers: HTTPHeaders
    public var body: RequestBody
    public var connection: UpstreamConnection

    public init(
        method: HTTPMethod, url: String, headers: HTTPHeaders, body: RequestBody,
        connection: UpstreamConnection = .init()
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.connection = connection
    }
}

/// How a provider is connected to.
public struct UpstreamConnection: Sendable, Equatable {
    /// Until the connection, TLS included, stands.
    public var connectTimeout: Duration
    /// From the request's beginning (of a streamed body: its last byte) to the head of the answer.
    public var firstByteTimeout: Duration
    /// Between two pieces of a streamed request or of the answer.
    public var idleTimeout: Duration
    /// The whole exchange with the upstream.
    public var totalTimeout: Duration
    /// A PEM file of further certificate authorities; `nil` means the system's.
    public var certificateAuthority: String?
    /// An HTTP proxy's URL; `nil` means none, whatever the environment says.
    public var proxy: String?

    public init(
        connectTimeout: Duration = .seconds(10), firstByteTimeout: Duration = .seconds(300),
        idleTimeout: Duration = .seconds(300), totalTimeout: Duration = .seconds(3600),
        certificateAuthority: String? = nil, proxy: String? = nil
    ) {
        self.connectTimeout = connectTimeout
        self.firstByteTimeout = firstByteTimeout
        self.idleTimeout = idleTimeout
        self.totalTimeout = totalTimeout
        self.certificateAuthority = certificateAuthority
        self.proxy = proxy
    }
}
