public import NIOHTTP1

/// An endpoint of Turnpike's own.
public struct Route: Sendable {
    /// What a caller needs to be allowed in.
    public enum Access: Sendable, Equatable {
        /// Anyone: answered before authentication and without an activity row. For health checks.
        case anyone
        /// A key with this scope.
        case scope(Scopes)
    }

    public let method: HTTPMethod
    /// The path's segments; `{name}` matches one segment and is handed on decoded. A trailing slash is ignored.
    public let path: String
    public let access: Access
    /// What the API document says about it.
    public internal(set) var description: RouteDescription?
    public let answer: @Sendable (Request, RouteParameters, Exchange) async throws -> Response

    public init(
        _ method: HTTPMethod, _ path: String, access: Access = .scope(.chat),
        answer: @escaping @Sendable (Request, RouteParameters, Exchange) async throws -> Response
    ) {
        self.method = method
        self.path = path
        self.access = access
        self.answer = answer
    }
}

/// The decoded `{name}` segments of a matched path.
public struct RouteParameters: Sendable {
    private let values: [String: String]
    package init(_ values: [String: String]) { self.values = values }

    /// The segment called `name`; empty if the route has none of that name.
    public subscript(name: String) -> String { values[name] ?? "" }
}
