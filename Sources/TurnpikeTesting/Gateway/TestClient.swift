public import NIOCore
public import NIOHTTP1

/// Sends requests to a ``TestGateway``.
public protocol TestClient: Sendable {
    /// Returns when the answer has ended or broken off, or its head is there and the request was to leave then.
    ///
    /// Throws only what keeps the test itself from working, such as a connection that is lost: an error of the gateway
    /// is an answer.
    func send(_ request: TestRequest) async throws -> TestAnswer
}

/// A request of a client.
public struct TestRequest: Sendable {
    public var method: HTTPMethod
    /// Path and query, percent-encoded.
    public var target: String
    public var headers: HTTPHeaders
    public var body: String
    /// Who asks: sent as the bearer token. `nil` sends none, and the request is refused.
    public var user: String?
    /// Whether the client goes as soon as the answer's head is there.
    public var leavesAtHead = false

    public init(
        _ method: HTTPMethod, _ target: String, headers: HTTPHeaders = [:], body: String = "", user: String? = "alice"
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.user = user
    }

    /// `POST /v1/chat/completions` with a JSON body.
    public static func chat(_ body: String, user: String? = "alice") -> TestRequest {
        TestRequest(
            .POST, "/v1/chat/completions", headers: ["Content-Type": "application/json"], body: body, user: user)
    }

    /// The headers with those that every client sends.
    var complete: HTTPHeaders {
        var complete = headers
        complete.replaceOrAdd(name: "Host", value: "test")
        complete.replaceOrAdd(name: "Content-Length", value: "\(body.utf8.count)")
        if let user { complete.replaceOrAdd(name: "Authorization", value: "Bearer \(user)") }
        return complete
    }
}

/// What a client received.
public struct TestAnswer: Sendable {
    public var status: Int
    public var headers: HTTPHeaders
    /// As much as came, decoded from its framing.
    public var body: ByteBuffer
    /// Whether the body ended as its framing promised.
    public var isComplete: Bool

    public var text: String { String(buffer: body) }
}
