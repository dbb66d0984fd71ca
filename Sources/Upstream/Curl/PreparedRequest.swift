import NIOCore
import NIOHTTP1
import TurnpikeKit

/// A request that was checked and can be handed to libcurl: nothing in it can change the meaning of the request line
/// or add a header.
struct PreparedRequest: Sendable {
    var method: String
    var url: String
    /// Lines as `CURLOPT_HTTPHEADER` wants them, each ended by a zero byte.
    var headerLines: [UInt8]
    var body: OutgoingBody
    var connection: UpstreamConnection

    /// Throws a ``GatewayError``: `upstream_request_invalid`, or `body_not_allowed` for a streamed body of a HEAD request.
    init(_ request: UpstreamRequest, body: OutgoingBody) throws(GatewayError) {
        self.method = request.method.rawValue
        self.url = request.url
        self.body = body
        self.connection = request.connection
        try RequestRules.check(method: method, body)
        try PreparedRequest.check(url: url)
        self.headerLines = try PreparedRequest.lines(of: request.headers, body)
    }

    var isIdempotent: Bool { RequestRules.isIdempotent(method) }

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
        guard url.allBytes(are: { $0 > 32 && $0 != 127 }) else {
            throw .upstreamRequestInvalid("the URL holds a space or a control character")
        }
    }

    private static func schemeLength(_ url: String) -> Int? {
        if url.hasPrefixIgnoringCase("http://") { return 7 }
        if url.hasPrefixIgnoringCase("https://") { return 8 }
        return nil
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

        func suppress(in lines: inout [UInt8], _ body: OutgoingBody) {
            if accept { lines.append(contentsOf: "Accept:\0".utf8) }
            if contentType { lines.append(contentsOf: "Content-Type:\0".utf8) }
            // libcurl waits for 100-continue above a megabyte only, and every line costs it some thousand instructions.
            if expect, mayExpect(body) { lines.append(contentsOf: "Expect:\0".utf8) }
        }

        private func mayExpect(_ body: OutgoingBody) -> Bool {
            switch body {
            case .none: false
            case .bytes(let bytes): bytes.readableBytes >= 512 << 10
            case .stream: true
            }
        }
    }

    private static func lines(of headers: HTTPHeaders, _ body: OutgoingBody) throws(GatewayError) -> [UInt8] {
        var lines: [UInt8] = []
        lines.reserveCapacity(512)
        var defaults = Defaults()
        for (name, value) in headers where !RequestRules.isOwn(name) {
            try RequestRules.check(name: name, value: value)
            append(name, value, to: &lines)
            defaults.note(name)
        }
        defaults.suppress(in: &lines, body)
        return lines
    }

    /// libcurl drops a header whose value is empty after the colon; it sends one that is written `Name;`.
    private static func append(_ name: String, _ value: String, to lines: inout [UInt8]) {
        lines.append(contentsOf: name.utf8)
        if value.allBytes(are: { $0 == 32 || $0 == 9 }) {
            lines.append(UInt8(ascii: ";"))
        } else {
            lines.append(UInt8(ascii: ":"))
            lines.append(UInt8(ascii: " "))
            var value = value
            value.withUTF8 { lines.append(contentsOf: OpaqueText.bytes(of: UnsafeRawBufferPointer($0)) ?? Array($0)) }
        }
        lines.append(0)
    }
}
