import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// One dialect of another system: names and status codes over the same sessions.
protocol SessionDialect: Sendable {
    /// The path of all its sessions.
    var path: String { get }
    /// What stands at the end of the names of its operations.
    var suffix: String { get }
    /// Where the messages of a session are, behind its path.
    var messagePaths: [String] { get }
    func json(_ session: Session, title: String) -> ByteBuffer
    func json(_ message: MessageObject, of session: SessionKey) -> ByteBuffer
}

/// The routes that a dialect's words are put into. Ids are printed as UUIDs and accepted in every form.
struct DialectRoutes: Sendable {
    let store: ConversationStore
    let configuration: SessionConfiguration
    let bodyLimit: Int
    let dialect: any SessionDialect

    private let object = SessionObject(defaultTitle: SessionConfiguration.defaultTitle)

    init(
        _ store: ConversationStore, _ configuration: SessionConfiguration, bodyLimit: Int, _ dialect: any SessionDialect
    ) {
        self.store = store
        self.configuration = configuration
        self.bodyLimit = bodyLimit
        self.dialect = dialect
    }

    var all: [Route] {
        collection(dialect.path, dialect.suffix) + item(dialect.path + "/{id}", dialect.suffix)
            + dialect.messagePaths.flatMap { messages(dialect.path + "/{id}/" + $0, dialect.suffix, name: $0) }
    }

    private func owned(_ exchange: Exchange) throws -> OwnedSessions {
        try OwnedSessions(store, configuration, exchange)
    }

    private func json(_ session: Session) -> ByteBuffer { dialect.json(session, title: object.title(session)) }

    private func collection(_ path: String, _ suffix: String) -> [Route] {
        [
            Route(.POST, path) { request, _, exchange in
                let fields = try await request.read(upTo: bodyLimit) { try SessionFields($0) }
                return .json(json(try await owned(exchange).create(fields).session), status: .created)
            }.described(DialectDescriptions.create(suffix)),
            Route(.GET, path) { request, _, exchange in
                let page = try PageRequest(request.head)
                let found = try await owned(exchange).list(SessionQuery(request.head, page), exchange)
                let shown = JSONArray.joining(found.elements.prefix(page.limit).map(json))
                return Self.list(shown, total: found.total, next: found.next(showing: page.limit))
            }.described(DialectDescriptions.list(suffix)),
        ]
    }

    private func item(_ path: String, _ suffix: String) -> [Route] {
        let change: @Sendable (Request, RouteParameters, Exchange) async throws -> Response = {
            request, place, exchange in
            let fields = try await request.read(upTo: bodyLimit) { try SessionFields($0) }
            return .json(json(try await owned(exchange).change(place["id"], fields)))
        }
        return [
            Route(.GET, path) { _, place, exchange in .json(json(try await owned(exchange).session(place["id"]))) }
                .described(DialectDescriptions.get(suffix)),
            Route(.PUT, path, answer: change).described(DialectDescriptions.change("replace", suffix)),
            Route(.PATCH, path, answer: change).described(DialectDescriptions.change("update", suffix)),
            Route(.DELETE, path) { _, place, exchange in
                _ = try await owned(exchange).delete(place["id"], isPurge: true)
                return Response(status: .noContent)
            }.described(DialectDescriptions.delete(suffix)),
        ]
    }

    private func messages(_ path: String, _ suffix: String, name: String) -> [Route] {
        let get = Route(.GET, path) { request, place, exchange in
            let limit = try PageRequest.limit(request.head)
            let query = try MessageQuery(request.head)
            let owned = try owned(exchange)
            let session = try await owned.session(place["id"])
            let form = MessageListForm.array { dialect.json($0, of: $1) }
            return try await owned.messages(of: session, query, limit: limit, form, exchange)
        }.described(DialectDescriptions.messages(suffix, name))
        guard name == "messages" else { return [get] }
        let post = Route(.POST, path) { request, place, exchange in
            let owned = try owned(exchange)
            _ = try await owned.session(place["id"])
            let (messages, isList) = try await request.read(upTo: bodyLimit) { try MessageFields.messages($0) }
            guard !isList, let message = messages.first else {
                throw GatewayError(wire: .wrongType("messages", expected: "one message"))
            }
            let (session, stored) = try await owned.append([message], to: place["id"])
            guard let first = stored.first else { throw GatewayError.sessionNotFound }
            let shown = try await BodyWork.run(on: first.body.readableBytes) {
                dialect.json(MessageObject(first), of: session.key)
            }
            return .json(shown, status: .created)
        }.described(DialectDescriptions.append(suffix))
        return [get, post]
    }

    /// An array, as these systems answer; the number of all elements and where the list goes on stand in headers.
    private static func list(_ array: ByteBuffer, total: Int?, next: SessionCursor? = nil) -> Response {
        var response = Response.json(array)
        if let total { response.headers.add(name: "X-Total-Count", value: "\(total)") }
        if let next { response.headers.add(name: "X-Next-Cursor", value: next.text) }
        return response
    }
}
