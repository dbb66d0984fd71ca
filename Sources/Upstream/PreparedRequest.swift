import NIOCore
import NIOHTTP1
import TurnpikeKit

/// A request that was checked and can be handed to libcurl: nothing in it can change the meaning of the request line
/// or add a header.
struct PreparedRequest: Sendable {
    enum Body: Sendable {
        case none
        case bytes(ByteBuffer)
        /// The body comes through the transfer's upload; its length, where it is known.
        case stream(length: Int?)
    }

    var method: String
    var url: String
    /// Lines as `CURLOPT_HTTPHEADER` wants them, each ended by a zero byte.
    var headerLines: [UInt8]
    var body: Body
    var connection: UpstreamConnection

    /// Throws a ``GatewayError``: `upstream_request_invalid`, or `body_not_allowed` for a streamed body of a HEAD request.
    init(_ request: UpstreamRequest, body: Body) throws(GatewayError) {
        self.method = request.method.rawValue
        self.url = request.url
        self.body = body
        self.connection = request.connection
        guard !method.isEmpty, method.utf8.allSatisfy(isTokenByte) else {
            throw .upstreamRequestInvalid("the method is not a token")
        }
        if case .stream = body, method == "HEAD" {
            // libcurl does not combine the two, and nobody defines what such a body means (RFC 9110, section 9.3.2).
            throw .badRequest("body_not_allowed", "A HEAD request cannot have a body.")
        }
        try PreparedRequest.check(url: url)
        self.headerLines = try PreparedRequest.lines(of: request.headers)
    }

    /// Methods that may be repeated without harm (RFC 9110, section 9.2.2).
    var isIdempotent: Bool { ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].contains(method) }

    private static func check(url: String) throws(GatewayError) {
        let schemes = ["http://", "https://"]
        guard let scheme = schemes.first(where: { hasPrefix(url, $0) }) else {
            throw .upstreamRequestInvalid("the URL is not an http or https URL")
        }
        // libcurl would look for the host further on.
        guard let first = url.utf8.dropFirst(scheme.utf8.count).first, !"/?#".utf8.contains(first) else {
            throw .upstreamRequestInvalid("the URL has no host")
        }
        guard url.utf8.allSatisfy({ $0 > 32 && $0 != 127 }) else {
            throw .upstreamRequestInvalid("the URL holds a space or a control character")
        }
    }

    private static func hasPrefix(_ url: String, _ scheme: String) -> Bool {
        url.utf8.count >= scheme.utf8.count && zip(url.utf8, scheme.utf8).allSatisfy { $0 == $1 || $0 | 0x20 == $1 }
    }

    /// Headers that the client makes itself, from the URL and the body, or that belong to one connection.
    private static let ownHeaders = [
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "trailer",
        "upgrade",
    ]
    /// Headers that libcurl would add by itself; a line without a value stops it.
    private static let defaults = ["Accept", "Content-Type", "Expect"]

    private static func lines(of headers: HTTPHeaders) throws(GatewayError) -> [UInt8] {
        var lines: [UInt8] = []
        lines.reserveCapacity(512)
        for (name, value) in headers where !ownHeaders.contains(where: { ResponseFraming.equal(name, $0) }) {
            guard !name.isEmpty, name.utf8.allSatisfy(isTokenByte) else {
                throw .upstreamRequestInvalid("a header's name is not a token")
            }
            guard value.utf8.allSatisfy({ $0 != 13 && $0 != 10 && $0 != 0 }) else {
                throw .upstreamRequestInvalid("the header \(name) holds a line break or a zero byte")
            }
            append(name, value, to: &lines)
        }
        for name in defaults where !headers.contains(name: name) {
            lines.append(contentsOf: name.utf8)
            lines.append(contentsOf: [UInt8(ascii: ":"), 0])
        }
        return lines
    }

    /// libcurl drops a header whose value is empty after the colon; it sends one that is written `Name;`.
    private static func append(_ name: String, _ value: String, to lines: inout [UInt8]) {
        lines.append(contentsOf: name.utf8)
        if value.utf8.allSatisfy({ $0 == 32 || $0 == 9 }) {
            lines.append(UInt8(ascii: ";"))
        } else {
            lines.append(UInt8(ascii: ":"))
            lines.append(UInt8(ascii: " "))
            lines.append(contentsOf: value.utf8)
        }
        lines.append(0)
    }
}

/// Whether a byte may stand in a method or a header's name (RFC 9110, section 5.6.2).
private func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 48...57, 65...90, 97...122: true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}
