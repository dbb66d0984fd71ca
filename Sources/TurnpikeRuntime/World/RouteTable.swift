import Glibc
import NIOHTTP1
import TurnpikeKit

/// Turnpike's own endpoints, found by method and path.
///
/// Every request passes here, most of them only to learn that they are for a provider: paths are compared as bytes,
/// without splitting them, and only with routes of as many segments whose last one fits.
struct RouteTable: Sendable {
    /// What a path leads to.
    enum Match {
        case route(Route, RouteParameters)
        /// The path exists, under these methods.
        case otherMethod([HTTPMethod])
        case none
    }

    private typealias Bytes = UnsafeBufferPointer<UInt8>

    /// A class: most entries are looked at only to be passed over, and a route is not copied for that.
    private final class Entry: Sendable {
        let route: Route
        let segments: [Segment]
        /// The last segment, where it is a literal: paths differ at their end, most of them begin alike.
        let tail: [UInt8]?

        init(_ route: Route, _ segments: [Segment]) {
            self.route = route
            self.segments = segments
            if case .literal(let literal)? = segments.last { tail = literal } else { tail = nil }
        }
    }

    /// By the number of segments.
    private let routes: [[Entry]]

    private enum Segment {
        case literal([UInt8])
        case parameter(String)
    }

    init(_ routes: [Route]) {
        var byCount: [[Entry]] = []
        for route in routes {
            let segments = route.path.split(separator: "/").map { part -> Segment in
                part.hasPrefix("{") ? .parameter(String(part.dropFirst().dropLast())) : .literal(Array(part.utf8))
            }
            while byCount.count <= segments.count { byCount.append([]) }
            byCount[segments.count].append(Entry(route, segments))
        }
        self.routes = byCount
    }

    func match(_ method: HTTPMethod, _ path: Substring) -> Match {
        var path = path
        return path.withUTF8 { match(method, $0) }
    }

    private func match(_ method: HTTPMethod, _ path: Bytes) -> Match {
        let count = Self.segmentCount(path)
        guard count < routes.count else { return .none }
        let last = Self.lastSegment(path)
        var allowed: [HTTPMethod] = []
        for entry in routes[count] {
            if let tail = entry.tail, !Self.equal(last, tail) { continue }
            guard let parameters = Self.parameters(entry.segments, path) else { continue }
            let route = entry.route
            if route.method == method || (method == .HEAD && route.method == .GET) { return .route(route, parameters) }
            allowed.append(route.method)
        }
        return allowed.isEmpty ? .none : .otherMethod(allowed)
    }

    private static func segmentCount(_ path: Bytes) -> Int {
        var count = 0
        var position = 0
        while nextSegment(path, from: &position) != nil { count += 1 }
        return count
    }

    private static func lastSegment(_ path: Bytes) -> Bytes {
        var end = path.count
        while end > 0, path[end - 1] == UInt8(ascii: "/") { end -= 1 }
        var start = end
        while start > 0, path[start - 1] != UInt8(ascii: "/") { start -= 1 }
        return Bytes(rebasing: path[start..<end])
    }

    private static func equal(_ part: Bytes, _ literal: [UInt8]) -> Bool {
        guard part.count == literal.count, let start = part.baseAddress else { return part.count == literal.count }
        return literal.withUnsafeBytes { memcmp(start, $0.baseAddress!, part.count) == 0 }
    }

    /// The segment at or behind `position`; empty ones do not count.
    private static func nextSegment(_ path: Bytes, from position: inout Int) -> Bytes? {
        while position < path.count, path[position] == UInt8(ascii: "/") { position += 1 }
        let start = position
        while position < path.count, path[position] != UInt8(ascii: "/") { position += 1 }
        return start == position ? nil : Bytes(rebasing: path[start..<position])
    }

    private static func parameters(_ segments: [Segment], _ path: Bytes) -> RouteParameters? {
        var values: [String: String] = [:]
        var position = 0
        for segment in segments {
            guard let part = nextSegment(path, from: &position) else { return nil }
            switch segment {
            case .literal(let literal): guard equal(part, literal) else { return nil }
            case .parameter(let name):
                guard let value = PercentEncoding.decode(Substring(decoding: part, as: UTF8.self)) else { return nil }
                values[name] = value
            }
        }
        return RouteParameters(values)
    }
}
