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

    /// A class: a route is not copied to be compared.
    private final class Entry: Sendable {
        let route: Route
        let segments: [Segment]

        init(_ route: Route, _ segments: [Segment]) {
            self.route = route
            self.segments = segments
        }
    }

    /// The routes of as many segments. Paths differ at their end, most of them begin alike: of each there is a number that
    /// stands for its last segment, so that what does not fit is passed over without a look at it.
    private struct Group {
        var entries: [Entry] = []
        /// ``RouteTable/mark(_:)`` of the last segment; 0 where that is a parameter.
        var marks: [UInt64] = []

        mutating func append(_ entry: Entry) {
            entries.append(entry)
            if case .literal(let literal)? = entry.segments.last {
                marks.append(literal.withUnsafeBufferPointer(RouteTable.mark))
            } else {
                marks.append(0)
            }
        }
    }

    /// By the number of segments.
    private let groups: [Group]

    private enum Segment {
        case literal([UInt8])
        case parameter(String)
    }

    init(_ routes: [Route]) {
        var groups: [Group] = []
        for route in routes {
            let segments = route.path.split(separator: "/").map { part -> Segment in
                part.hasPrefix("{") ? .parameter(String(part.dropFirst().dropLast())) : .literal(Array(part.utf8))
            }
            while groups.count <= segments.count { groups.append(Group()) }
            groups[segments.count].append(Entry(route, segments))
        }
        self.groups = groups
    }

    func match(_ method: HTTPMethod, _ path: Substring) -> Match {
        var path = path
        return path.withUTF8 { match(method, $0) }
    }

    private func match(_ method: HTTPMethod, _ path: Bytes) -> Match {
        let count = Self.segmentCount(path)
        guard count < groups.count else { return .none }
        let wanted = Self.mark(Self.lastSegment(path))
        var allowed: [HTTPMethod] = []
        for (index, mark) in groups[count].marks.enumerated() where mark == 0 || mark == wanted {
            let entry = groups[count].entries[index]
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

    /// The length of a segment and its first seven bytes.
    private static func mark(_ segment: Bytes) -> UInt64 {
        var mark = UInt64(UInt8(truncatingIfNeeded: segment.count))
        for byte in segment.prefix(7) { mark = mark << 8 | UInt64(byte) }
        return mark
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
