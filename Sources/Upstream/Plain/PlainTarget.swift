import TurnpikeKit

/// Where a request goes that needs neither TLS nor a proxy, read from its URL.
///
/// Only what is beyond doubt is read: a scheme `http`, a host of ordinary characters, a port, a path. Everything else,
/// from a user name in the URL to a name in another alphabet, is for libcurl to understand or to refuse.
final class PlainTarget: Sendable {
    struct Origin: Hashable, Sendable {
        /// Without the brackets of an IPv6 address.
        var host: String
        var port: Int
    }

    let origin: Origin
    /// As the `Host` header has it: without the port where it is 80.
    let hostField: String
    /// Path and query as they stand in the URL, or `/`.
    let requestTarget: String

    /// `nil` where the request is for libcurl.
    static func of(_ request: UpstreamRequest) -> PlainTarget? {
        request.connection.proxy == nil ? reading(request.url) : nil
    }

    static func reading(_ url: String) -> PlainTarget? {
        guard url.hasPrefixIgnoringCase("http://") else { return nil }
        var url = url
        return url.withUTF8 { parse($0, from: 7) }
    }

    private init(origin: Origin, hostField: String, requestTarget: String) {
        self.origin = origin
        self.hostField = hostField
        self.requestTarget = requestTarget
    }

    private static func parse(_ url: UnsafeBufferPointer<UInt8>, from start: Int) -> PlainTarget? {
        // No fragment: nobody sends one, and no other reader shall see a path where we see none.
        guard url.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "#") }) else { return nil }
        let end = url[start...].firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? url.endIndex
        guard let (host, port) = authority(url[start..<end]) else { return nil }
        let name = String(decoding: host, as: UTF8.self)
        let field = port == 80 ? name : "\(name):\(port)"
        let isAddress = host.first == UInt8(ascii: "[")
        let bare = isAddress ? String(name.dropFirst().dropLast()) : name
        let path = String(decoding: url[end...], as: UTF8.self)
        return PlainTarget(
            origin: Origin(host: bare, port: port), hostField: field,
            requestTarget: url[end...].first == UInt8(ascii: "/") ? path : "/" + path)
    }

    private typealias Bytes = Slice<UnsafeBufferPointer<UInt8>>

    private static func authority(_ text: Bytes) -> (host: Bytes, port: Int)? {
        if text.first == UInt8(ascii: "[") {
            guard let close = text.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            let address = text[text.startIndex...close]
            let inner = address.dropFirst().dropLast()
            guard !inner.isEmpty, inner.allSatisfy(isAddressByte) else { return nil }
            return port(text[(close + 1)...]).map { (address, $0) }
        }
        let colon = text.firstIndex(of: UInt8(ascii: ":")) ?? text.endIndex
        let host = text[..<colon]
        guard !host.isEmpty, host.allSatisfy(isHostByte) else { return nil }
        return port(text[colon...]).map { (host, $0) }
    }

    /// The number after the colon, or 80.
    private static func port(_ text: Bytes) -> Int? {
        guard !text.isEmpty else { return 80 }
        guard text.first == UInt8(ascii: ":"), (2...6).contains(text.count) else { return nil }
        var port = 0
        for byte in text.dropFirst() {
            guard byte &- 48 < 10 else { return nil }
            port = port * 10 + Int(byte - 48)
        }
        return (1...65_535).contains(port) ? port : nil
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): true
        default: false
        }
    }

    private static func isAddressByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...58, 65...70, 97...102, UInt8(ascii: "."): true
        default: false
        }
    }
}
