import NIOHTTP1
import TurnpikeKit

/// A request's head as the parser gave it, examined: what the connection has to do with it.
///
/// A class: it passes through the connection's states and queues, and is a dozen values.
final class ArrivedHead: Sendable {
    let request: RequestHead
    let version: HTTPVersion
    let framing: RequestFraming
    /// Whether the client wants, and the parser allows, another request on the connection.
    let isPersistent: Bool
    /// Whether the client waits for `100 Continue` before it sends its body.
    let expectsContinue: Bool
    /// Set for a request that must not reach the chain. The connection is closed after it.
    let refusal: GatewayError?

    init(_ arrived: HTTPRequestHead) {
        let noted = NotedFields(arrived.headers)
        var head = arrived
        if noted.hasPadding { head.headers = ArrivedHead.withoutPadding(arrived.headers) }
        request = RequestHead(method: head.method, target: head.uri, headers: head.headers)
        version = head.version
        let examined = ArrivedHead.examine(head, noted)
        framing = examined.framing
        expectsContinue = examined.expectsContinue
        refusal = examined.refusal
        // After a head with `Connection: upgrade` the parser reads no further message: a client that offers `h2c`, as
        // Java's HttpClient does, is answered in HTTP/1.1 and connects again. Whether it goes on at all the parser has
        // told with the headers that it made; it misses a `close` with a tab behind it, which is in these.
        isPersistent =
            refusal == nil && arrived.isKeepAlive && head.isKeepAlive
            && !(noted.hasUpgrade && ArrivedHead.stopsParser(head))
    }

    var isHEAD: Bool { request.method == .HEAD }

    private static func examine(
        _ head: HTTPRequestHead, _ noted: NotedFields
    ) -> (framing: RequestFraming, expectsContinue: Bool, refusal: GatewayError?) {
        do {
            let framing = try RequestFraming(head, noted)
            let expects = noted.hasExpect ? try expectation(of: head) : false
            let expectsContinue = expects && framing != .none
            try checkHost(of: head, noted)
            try checkTarget(of: head)
            if noted.hasUpgrade { try checkUpgrade(of: head) }
            return (framing, expectsContinue, nil)
        } catch {
            // Without a framing that both sides agree on the rest of the stream means nothing.
            return (.chunked, false, error)
        }
    }

    /// Without the white space around values, which is no part of them (RFC 9110, section 5.5). The parser leaves what
    /// stands behind a value.
    private static func withoutPadding(_ headers: HTTPHeaders) -> HTTPHeaders {
        HTTPHeaders(headers.map { name, value in (name, value.isPadded ? value.withoutPadding : value) })
    }

    private static func expectation(of head: HTTPRequestHead) throws(GatewayError) -> Bool {
        guard let expectation = head.headers.first(name: "expect"), head.version == .http1_1 else { return false }
        guard expectation.lowercased() == "100-continue" else {
            throw GatewayError(
                .client, .expectationFailed, code: "expectation_failed",
                "The only expectation that this server meets is 100-continue.")
        }
        return true
    }

    /// One Host, or none in HTTP/1.0 (RFC 9112, section 3.2). Its value is never used to route.
    private static func checkHost(of head: HTTPRequestHead, _ noted: NotedFields) throws(GatewayError) {
        guard noted.hosts == 1 || (noted.hosts == 0 && head.version == .http1_0) else {
            throw .badRequest("malformed_request", "A request needs exactly one Host header.")
        }
    }

    /// A path, or `*` for OPTIONS. The absolute form is for forward proxies, which this is not: accepting it would give
    /// a request two hosts.
    private static func checkTarget(of head: HTTPRequestHead) throws(GatewayError) {
        guard head.method != .CONNECT else {
            throw GatewayError(.client, .notImplemented, code: "method_not_supported", "This server opens no tunnels.")
        }
        if head.uri == "*", head.method == .OPTIONS { return }
        guard head.uri.utf8.first == UInt8(ascii: "/"), head.uri.allBytes(are: { $0 != UInt8(ascii: "#") }) else {
            throw .badRequest(
                "invalid_request_target",
                "The request target must be a path that begins with a slash. "
                    + "This server is no forward proxy: use it as base URL.")
        }
    }

    private static func checkUpgrade(of head: HTTPRequestHead) throws(GatewayError) {
        let offers = head.headers[canonicalForm: "upgrade"]
        guard offers.contains(where: { $0.lowercased().hasPrefix("websocket") }) else { return }
        throw GatewayError(
            .client, .notImplemented, code: "websocket_not_supported",
            "This server does not speak WebSocket. Use HTTP with server-sent events.")
    }

    private static func stopsParser(_ head: HTTPRequestHead) -> Bool {
        head.headers[canonicalForm: "connection"].contains { $0.lowercased() == "upgrade" }
    }
}
