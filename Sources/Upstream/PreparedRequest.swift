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
        guard !method.isEmpty, allBytes(of: method, are: isTokenByte) else {
            throw .upstreamRequestInvalid("the method is not a token")
        }
        if case .stream = body, method == "HEAD" {
            // libcurl does not combine the two, and nobody defines what such a body means (RFC 9110, section 9.3.2).
            throw .badRequest("body_not_allowed", "A HEAD request cannot have a body.")
        }
        try PreparedRequest.check(url: url)
        self.headerLines = try PreparedRequest.lines(of: request.headers, body)
    }

    /// Methods that may be repeated without harm (RFC 9110, section 9.2.2).
    var isIdempotent: Bool {
        switch method {
        case "GET", "HEAD", "PUT", "DELETE", "OPTIONS": true
        default: false
        }
    }

    private static func check(url: String) throws(GatewayError) {
        guard let schemeLength = schemeLength(url) else {
            throw .upstreamRequestInvalid("the URL is not an http or https URL")
        }
        // libcurl would look for the host further on.
        switch url.utf8.dropFirst(schemeLength).first {
        case nil, UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"):
            throw .upstreamRequestInvalid("the URL has no host")
        default: break
        }
        guard allBytes(of: url, are: { $0 > 32 && $0 != 127 }) else {
            throw .upstreamRequestInvalid("the URL holds a space or a control character")
        }
    }

    private static func schemeLength(_ url: String) -> Int? {
        if url.hasPrefixIgnoringCase("http://") { return 7 }
        if url.hasPrefixIgnoringCase("https://") { return 8 }
        return nil
    }

    /// Headers that the client makes itself, from the URL and the body, or that belong to one connection.
    private static func isOwn(_ name: String) -> Bool {
        switch name.utf8.count {
        case 2: name.equalsIgnoringCase("te")
        case 4: name.equalsIgnoringCase("host")
        case 7: name.equalsIgnoringCase("trailer") || name.equalsIgnoringCase("upgrade")
        case 10: name.equalsIgnoringCase("connection") || name.equalsIgnoringCase("keep-alive")
        case 14: name.equalsIgnoringCase("content-length")
        case 16: name.equalsIgnoringCase("proxy-connection")
        case 17: name.equalsIgnoringCase("transfer-encoding")
        default: false
        }
    }

    /// Headers that libcurl would add by itself; a line without a value stops it.
    private struct Defaults {
        var accept = true
        var contentType = true
        var expect = true

        mutating func note(_ name: String) {
            switch name.utf8.count {
            case 6:
                if name.equalsIgnoringCase("accept") { accept = false }
                if name.equalsIgnoringCase("expect") { expect = false }
            case 12: if name.equalsIgnoringCase("content-type") { contentType = false }
            default: break
            }
        }

        func suppress(in lines: inout [UInt8], _ body: Body) {
            if accept { lines.append(contentsOf: "Accept:\0".utf8) }
            if contentType { lines.append(contentsOf: "Content-Type:\0".utf8) }
            // libcurl waits for 100-continue above a megabyte only, and every line costs it some thousand instructions.
            if expect, mayExpect(body) { lines.append(contentsOf: "Expect:\0".utf8) }
        }

        private func mayExpect(_ body: Body) -> Bool {
            switch body {
            case .none: false
            case .bytes(let bytes): bytes.readableBytes >= 512 << 10
            case .stream: true
            }
        }
    }

    private static func lines(of headers: HTTPHeaders, _ body: Body) throws(GatewayError) -> [UInt8] {
        var lines: [UInt8] = []
        lines.reserveCapacity(512)
        var defaults = Defaults()
        for (name, value) in headers where !isOwn(name) {
            guard !name.isEmpty, allBytes(of: name, are: isTokenByte) else {
                throw .upstreamRequestInvalid("a header's name is not a token")
            }
            guard allBytes(of: value, are: { $0 != 13 && $0 != 10 && $0 != 0 }) else {
                throw .upstreamRequestInvalid("the header \(name) holds a line break or a zero byte")
            }
            append(name, value, to: &lines)
            defaults.note(name)
        }
        defaults.suppress(in: &lines, body)
        return lines
    }

    /// libcurl drops a header whose value is empty after the colon; it sends one that is written `Name;`.
    private static func append(_ name: String, _ value: String, to lines: inout [UInt8]) {
        lines.append(contentsOf: name.utf8)
        if allBytes(of: value, are: { $0 == 32 || $0 == 9 }) {
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
    case 48...57, 65...90, 97...122, UInt8(ascii: "-"): true
    default: "!#$%&'*+.^_`|~".utf8.contains(byte)
    }
}

/// Over the bytes where they lie: a walk over the indices of a string's view costs ten times as much.
@inline(__always) private func allBytes(of text: String, are isAllowed: (UInt8) -> Bool) -> Bool {
    text.utf8.withContiguousStorageIfAvailable { $0.allSatisfy(isAllowed) } ?? text.utf8.allSatisfy(isAllowed)
}
