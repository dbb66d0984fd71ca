import NIOHTTP1

/// What the API document (`/openapi.json`) says about an endpoint: written where the route is, so that both change
/// together.
public struct RouteDescription: Sendable {
    /// The name of the operation, once in the whole document, such as `listSessions`.
    public var id: String
    /// One sentence.
    public var summary: String
    /// In query and headers. Those in the path are taken from the path.
    public var parameters: [RouteParameter]
    /// The name of the body's schema; nil: there is no body.
    public var body: String?
    /// The body's content types; one that is not JSON is a text.
    public var bodyTypes = ["application/json"]
    /// What a caller gets when all goes well. Errors that any endpoint may give are added.
    public var answers: [RouteAnswer]

    public init(
        _ id: String, _ summary: String, parameters: [RouteParameter] = [], body: String? = nil,
        answers: [RouteAnswer]
    ) {
        self.id = id
        self.summary = summary
        self.parameters = parameters
        self.body = body
        self.answers = answers
    }
}

/// A parameter in the query or in a header.
public struct RouteParameter: Sendable {
    public enum Place: String, Sendable {
        case query, header
    }

    public var name: String
    public var place: Place
    /// Its JSON schema, such as `{"type":"string"}`.
    public var schema: String
    /// One sentence.
    public var summary: String
    public var isRequired = false

    public init(
        _ name: String, _ schema: String, _ summary: String, in place: Place = .query, isRequired: Bool = false
    ) {
        self.name = name
        self.place = place
        self.schema = schema
        self.summary = summary
        self.isRequired = isRequired
    }
}

/// An answer by its status.
public struct RouteAnswer: Sendable {
    public var status: Int
    /// The name of the body's schema; nil: an answer without a body, or one that is no JSON.
    public var schema: String?
    /// Content types, all of the same schema where they are JSON.
    public var contentTypes: [String]
    public var summary: String

    public init(
        _ status: Int, _ schema: String?, _ summary: String, contentTypes: [String] = ["application/json"]
    ) {
        self.status = status
        self.schema = schema
        self.summary = summary
        self.contentTypes = contentTypes
    }
}

/// A named JSON schema (draft 2020-12) of the API document.
public struct RouteSchema: Sendable {
    public var name: String
    /// The schema's text. Others are referred to as `#/components/schemas/NAME`.
    public var json: String

    public init(_ name: String, _ json: String) {
        self.name = name
        self.json = json
    }
}

/// An endpoint that the API document names.
public struct DescribedEndpoint: Sendable {
    public var method: String
    /// The path with its `{name}` segments.
    public var path: String
    public var isOpen: Bool
    public var description: RouteDescription

    /// - Parameter isOpen: Whether it is answered without a key.
    public init(method: String, path: String, isOpen: Bool = false, _ description: RouteDescription) {
        self.method = method
        self.path = path
        self.isOpen = isOpen
        self.description = description
    }
}

extension Route {
    /// The route with its place in the API document.
    public func described(_ description: RouteDescription) -> Route {
        var route = self
        route.description = description
        return route
    }

    /// Its place in the API document; nil: it has none.
    package var endpoint: DescribedEndpoint? {
        description.map { DescribedEndpoint(method: method.rawValue, path: path, isOpen: access == .anyone, $0) }
    }
}
