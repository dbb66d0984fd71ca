import NIOHTTP1
import TurnpikeKit

/// Turnpike's own endpoints, found by method and path.
///
/// Every request passes here, most of them only to learn that they are for a provider: paths are compared as bytes,
/// without splitting them, and only with routes of as many segments.
struct RouteTable: Sendable {
    /// What a path leads to.
    enum Match {
        case route(Route, RouteParameters)
        /// The path exists, under these methods.
        case otherMethod([HTTPMethod])
        case none
    }

    private typealias Bytes = UnsafeBufferPointer<UInt8>
    private typealias Entry = (route: Route, segments: [Segment])

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
            byCount[segments.count].append((route, segments))
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
        var allowed: [HTTPMethod] = []
        for (route, segments) in routes[count] {
            guard let parameters = Self.parameters(segments, path) else { continue }
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
            case .literal(let literal): guard part.elementsEqual(literal) else { return nil }
            case .parameter(let name):
                guard let value = PercentEncoding.decode(Substring(decoding: part, as: UTF8.self)) else { return nil }
                values[name] = value
            }
        }
        return RouteParameters(values)
    }
}
