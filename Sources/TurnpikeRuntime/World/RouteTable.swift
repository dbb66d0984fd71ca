import NIOHTTP1
import TurnpikeKit

/// Turnpike's own endpoints, found by method and path.
struct RouteTable: Sendable {
    /// What a path leads to.
    enum Match {
        case route(Route, RouteParameters)
        /// The path exists, under these methods.
        case otherMethod([HTTPMethod])
        case none
    }

    private let routes: [(route: Route, segments: [Segment])]

    private enum Segment {
        case literal(Substring)
        case parameter(String)
    }

    init(_ routes: [Route]) {
        self.routes = routes.map { route in
            let segments = route.path.split(separator: "/").map { part -> Segment in
                part.hasPrefix("{") ? .parameter(String(part.dropFirst().dropLast())) : .literal(part)
            }
            return (route, segments)
        }
    }

    func match(_ method: HTTPMethod, _ path: Substring) -> Match {
        let parts = path.split(separator: "/")
        var allowed: [HTTPMethod] = []
        for (route, segments) in routes {
            guard let parameters = Self.parameters(segments, parts) else { continue }
            if route.method == method || (method == .HEAD && route.method == .GET) { return .route(route, parameters) }
            allowed.append(route.method)
        }
        return allowed.isEmpty ? .none : .otherMethod(allowed)
    }

    private static func parameters(_ segments: [Segment], _ parts: [Substring]) -> RouteParameters? {
        guard segments.count == parts.count else { return nil }
        var values: [String: String] = [:]
        for (segment, part) in zip(segments, parts) {
            switch segment {
            case .literal(let literal): guard literal == part else { return nil }
            case .parameter(let name):
                guard let value = PercentEncoding.decode(part) else { return nil }
                values[name] = value
            }
        }
        return RouteParameters(values)
    }
}
