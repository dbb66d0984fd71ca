import Glibc
public import NIOHTTP1

/// A request's line and headers, as the client sent them.
///
/// The kit uses NIO's `HTTPHeaders` and not a type of its own: names keep the case in which they arrived, compare
/// without it, and pass from socket to socket without a conversion.
public struct RequestHead: Sendable {
    public var method: HTTPMethod
    /// Path and query exactly as on the request line, percent-encoding included.
    public var target: String
    public var headers: HTTPHeaders

    public init(method: HTTPMethod, target: String, headers: HTTPHeaders = [:]) {
        self.method = method
        self.target = target
        self.headers = headers
    }

    /// The target up to the first `?`, still percent-encoded.
    public var path: Substring {
        guard let mark = queryMark else { return target[...] }
        return target[..<mark]
    }

    /// The target after the first `?`, still percent-encoded, or `nil` without one.
    public var query: Substring? {
        guard let mark = queryMark else { return nil }
        return target[target.utf8.index(after: mark)...]
    }

    /// The first `?`. Every step asks for the path: a look at the bytes costs a tenth of a walk over the view's indices.
    private var queryMark: String.Index? {
        let found = target.utf8.withContiguousStorageIfAvailable { bytes -> Int? in
            guard let start = bytes.baseAddress, let mark = memchr(start, 0x3F, bytes.count) else { return nil }
            return UnsafeRawPointer(mark) - UnsafeRawPointer(start)
        }
        guard let found else { return target.utf8.firstIndex(of: UInt8(ascii: "?")) }
        return found.map { target.utf8.index(target.utf8.startIndex, offsetBy: $0) }
    }

    /// The decoded value of the first query item called `name`; form encoding, so `+` is a space.
    ///
    /// An item without `=` has the empty value. One whose escapes are malformed or do not make UTF-8 is no item: `nil`.
    public func queryItem(_ name: String) -> String? {
        guard let query else { return nil }
        // Bytes, not characters: a combining mark behind a separator must not hide it.
        for item in query.utf8.split(separator: UInt8(ascii: "&")) {
            let mark = item.firstIndex(of: UInt8(ascii: "=")) ?? item.endIndex
            guard PercentEncoding.decode(Substring(item[..<mark]), plusIsSpace: true) == name else { continue }
            let value = mark == item.endIndex ? item[mark...] : item[item.index(after: mark)...]
            return PercentEncoding.decode(Substring(value), plusIsSpace: true)
        }
        return nil
    }
}
