public import NIOHTTP1

/// Why an exchange was refused or broke: who is at fault, what the client is told, and whether a retry is safe.
///
/// `description` may be shown to a client; `debugDescription` has everything for a log. Neither ever holds a secret or
/// a message's content. ``ErrorResponder`` turns it into OpenAI's envelope.
public struct GatewayError: Error, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    /// Who has to change something.
    public enum Source: String, Sendable { case client, gateway, upstream, plugin }
    /// Whether the same request may be sent again.
    public enum Retry: Sendable {
        /// Nothing was done: sending it again is safe.
        case safe
        /// The upstream may have acted on it.
        case unsafe
        /// It would fail in the same way.
        case pointless
    }

    private var storage: Storage

    public var source: Source {
        get { storage.fields.source }
        set { change { $0.source = newValue } }
    }
    public var status: HTTPResponseStatus {
        get { storage.fields.status }
        set { change { $0.status = newValue } }
    }
    /// OpenAI's `type`, such as `invalid_request_error`.
    public var type: String {
        get { storage.fields.type }
        set { change { $0.type = newValue } }
    }
    /// OpenAI's `code`, such as `session_not_found`.
    public var code: String {
        get { storage.fields.code }
        set { change { $0.code = newValue } }
    }
    /// The request's field or header at fault, if there is one.
    public var param: String? {
        get { storage.fields.param }
        set { change { $0.param = newValue } }
    }
    /// A sentence for the client that says what to do.
    public var message: String {
        get { storage.fields.message }
        set { change { $0.message = newValue } }
    }
    /// What only the operator may read.
    public var detail: String {
        get { storage.fields.detail }
        set { change { $0.detail = newValue } }
    }
    public var retry: Retry {
        get { storage.fields.retry }
        set { change { $0.retry = newValue } }
    }
    /// Headers that the answer needs, such as `Retry-After` or `Allow`.
    public var headers: HTTPHeaders {
        get { storage.fields.headers }
        set { change { $0.headers = newValue } }
    }

    public init(
        _ source: Source, _ status: HTTPResponseStatus, code: String, _ message: String, type: String? = nil,
        param: String? = nil, detail: String = "", retry: Retry = .pointless, headers: HTTPHeaders = [:]
    ) {
        storage = Storage(
            Fields(
                source: source, status: status, type: type ?? GatewayError.type(for: status), code: code, param: param,
                message: message, detail: detail, retry: retry, headers: headers))
    }

    private mutating func change(_ change: (inout Fields) -> Void) {
        var fields = storage.fields
        change(&fields)
        storage = Storage(fields)
    }

    private struct Fields: Sendable {
        var source: Source
        var status: HTTPResponseStatus
        var type: String
        var code: String
        var param: String?
        var message: String
        var detail: String
        var retry: Retry
        var headers: HTTPHeaders
    }

    /// Behind a reference: every result and every answer has room for an error, which hardly ever comes. As a plain
    /// struct of 130 bytes it was copied through every step of an exchange.
    private final class Storage: Sendable {
        let fields: Fields
        init(_ fields: Fields) { self.fields = fields }
    }

    public var description: String { "\(code): \(message)" }
    public var debugDescription: String {
        "\(status.code) \(code) (\(source)): \(message)" + (detail.isEmpty ? "" : " [\(detail)]")
    }

    /// OpenAI's names for classes of errors, as its API reference lists them.
    private static func type(for status: HTTPResponseStatus) -> String {
        switch status.code {
        case 401: "authentication_error"
        case 403: "permission_error"
        case 429: "rate_limit_error"
        case 400..<500: "invalid_request_error"
        default: "server_error"
        }
    }
}

extension GatewayError {
    /// The client is at fault: 400 unless said otherwise.
    public static func badRequest(_ code: String, _ message: String, param: String? = nil) -> GatewayError {
        GatewayError(.client, .badRequest, code: code, message, param: param)
    }

    /// Nobody answers this path; `near` is one that somebody answers.
    package static func unknownURL(_ head: RequestHead, near: String? = nil) -> GatewayError {
        let hint = near.map { " Did you mean \($0.prefix(200))?" } ?? ""
        return GatewayError(
            .client, .notFound, code: "unknown_url",
            "Unknown request URL: \(head.method.rawValue) \(head.path.prefix(200)).\(hint)")
    }

    /// The path is answered, under other methods.
    package static func methodNotAllowed(_ head: RequestHead, use allowed: [HTTPMethod]) -> GatewayError {
        let list = allowed.map(\.rawValue).joined(separator: ", ")
        return GatewayError(
            .client, .methodNotAllowed, code: "method_not_allowed",
            "Not allowed to \(head.method.rawValue) on \(head.path.prefix(200)). Use \(list).", headers: ["Allow": list]
        )
    }

    /// The body is larger than `limit` bytes.
    public static func bodyTooLarge(limit: Int) -> GatewayError {
        GatewayError(
            .client, .payloadTooLarge, code: "request_too_large",
            "The request body is larger than the \(limit) bytes that this server accepts.")
    }

    /// A message, or the answer to it, is larger than the database takes: sending it again changes nothing.
    ///
    /// - Parameter param: The field at fault, where it is not the answer.
    public static func tooLargeToStore(_ detail: String, param: String? = nil) -> GatewayError {
        GatewayError(
            .client, .payloadTooLarge, code: "turn_too_large",
            "A message, or the answer to it, is larger than this server can store in a session.", param: param,
            detail: detail)
    }

    /// The client closed the connection; nobody will read this.
    public static let clientLeft = GatewayError(
        .client, HTTPResponseStatus(statusCode: 499, reasonPhrase: "Client Closed Request"), code: "client_left",
        "The client closed the connection.")

    /// The server stops: the exchange did not end within `server.drain_timeout`, or came too late to begin.
    package static let serverShuttingDown = GatewayError.unavailable(
        "server_shutting_down", "The server is shutting down. Try again in a moment.")

    /// Something in Turnpike failed that the client cannot change.
    public static func internalError(_ detail: String) -> GatewayError {
        GatewayError(
            .gateway, .internalServerError, code: "internal_error",
            "The server had an error while processing the request. Quote the request id when you report it.",
            detail: detail, retry: .unsafe)
    }

    /// Something is temporarily out of reach: 503 with `Retry-After`.
    public static func unavailable(_ code: String, _ message: String, detail: String = "", retryAfterSeconds: Int = 1)
        -> GatewayError
    {
        GatewayError(
            .gateway, .serviceUnavailable, code: code, message, detail: detail, retry: .safe,
            headers: ["Retry-After": "\(retryAfterSeconds)"])
    }
}
