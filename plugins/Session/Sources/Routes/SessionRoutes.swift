import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// The sessions API in its own words: make, list, read, change, delete, restore. Everybody sees only their own.
struct SessionRoutes: Sendable {
    let store: ConversationStore
    let configuration: SessionConfiguration
    let bodyLimit: Int

    private var object: SessionObject { SessionObject(defaultTitle: SessionConfiguration.defaultTitle) }

    /// The same routes below `/v1/chat` and below `/chat`.
    ///
    /// - Parameter routes: Gets the path, and what stands at the end of the names of the operations below it.
    static func atBothBases(_ routes: (_ base: String, _ suffix: String) -> [Route]) -> [Route] {
        routes("/v1/chat", "") + routes("/chat", "Alias")
    }

    var all: [Route] {
        Self.atBothBases { base, suffix in
            collection(base + "/sessions", suffix) + item(base + "/sessions/{id}", suffix)
                + messages(base + "/sessions/{id}/messages", suffix)
        }
    }

    private func owned(_ exchange: Exchange) throws -> OwnedSessions {
        try OwnedSessions(store, configuration, exchange)
    }

    // MARK: Sessions

    private func collection(_ path: String, _ suffix: String) -> [Route] {
        [
            Route(.POST, path) { request, _, exchange in try await create(request, exchange) }
                .described(SessionDescriptions.create(suffix)),
            Route(.GET, path) { request, _, exchange in try await list(request, exchange) }
                .described(SessionDescriptions.list(suffix)),
            Route(.DELETE, path) { request, _, exchange in try await erase(request, exchange) }
                .described(SessionDescriptions.erase(suffix)),
        ]
    }

    private func item(_ path: String, _ suffix: String) -> [Route] {
        [
            Route(.GET, path) { _, place, exchange in
                let (session, prompt) = try await owned(exchange).sessionWithPrompt(place["id"])
                return .json(object.json(session, systemPrompt: prompt))
            }.described(SessionDescriptions.get(suffix)),
            Route(.PUT, path) { request, place, exchange in try await change(place["id"], request, exchange) }
                .described(SessionDescriptions.change("replace", suffix)),
            Route(.PATCH, path) { request, place, exchange in try await change(place["id"], request, exchange) }
                .described(SessionDescriptions.change("update", suffix)),
            Route(.DELETE, path) { request, place, exchange in
                let isPurge = try request.head.flag("purge")
                let key = try await owned(exchange).delete(place["id"], isPurge: isPurge)
                return .json(SessionObject.deleted(key, isPurged: isPurge))
            }.described(SessionDescriptions.delete(suffix)),
            Route(.POST, path + "/restore") { _, place, exchange in
                let owned = try owned(exchange)
                let session = try await owned.restore(place["id"])
                return .json(object.json(session, systemPrompt: try await owned.prompt(of: session)))
            }.described(SessionDescriptions.restore(suffix)),
        ]
    }

    private func create(_ request: Request, _ exchange: Exchange) async throws -> Response {
        let fields = try await request.read(upTo: bodyLimit) { try SessionFields($0) }
        let owned = try owned(exchange)
        let found = try await owned.create(fields)
        let prompt = try await owned.prompt(of: found.session)
        let body = object.json(found.session, systemPrompt: prompt)
        if case .created = found { return .json(body, status: .created) }
        return .json(body)
    }

    private func change(_ name: String, _ request: Request, _ exchange: Exchange) async throws -> Response {
        let fields = try await request.read(upTo: bodyLimit) { try SessionFields($0) }
        let owned = try owned(exchange)
        let session = try await owned.change(name, fields)
        return .json(object.json(session, systemPrompt: try await owned.prompt(of: session)))
    }

    private func list(_ request: Request, _ exchange: Exchange) async throws -> Response {
        let page = try PageRequest(request.head)
        let found = try await owned(exchange).list(SessionQuery(request.head, page), exchange)
        let next = found.next(showing: page.limit)
        return .json(
            object.list(
                found.elements.prefix(page.limit).map { object.json($0) }, total: found.total, page, next: next?.text,
                hasMore: next != nil))
    }

    private func erase(_ request: Request, _ exchange: Exchange) async throws -> Response {
        let confirmation = request.head.queryItem("confirm")
        guard confirmation == "erase" else {
            throw GatewayError.badRequest(
                confirmation == nil ? "missing_required_parameter" : "invalid_value",
                "This removes all your sessions. Say so with “confirm=erase”.", param: "confirm")
        }
        let erasure = try await store.erase(owned(exchange).owner)
        return .json(
            JSONWriter.object { json in
                json.member("object", "chat.erasure")
                json.member("deleted", true)
                json.member("sessions", erasure.sessions)
            })
    }

    // MARK: Messages

    private func messages(_ path: String, _ suffix: String) -> [Route] {
        [
            Route(.GET, path) { request, place, exchange in try await messages(place["id"], request, exchange) }
                .described(SessionDescriptions.messages(suffix)),
            Route(.POST, path) { request, place, exchange in try await append(place["id"], request, exchange) }
                .described(SessionDescriptions.append(suffix)),
            Route(.POST, path + "/batch") { request, place, exchange in
                try await append(place["id"], request, exchange, mustBeList: true)
            }.described(SessionDescriptions.appendBatch(suffix)),
            Route(.GET, path + "/{message_id}") { _, place, exchange in
                let owned = try owned(exchange)
                let session = try await owned.session(place["id"])
                return .json(try await owned.message(MessageName.seq(place["message_id"]), of: session))
            }.described(SessionDescriptions.message(suffix)),
        ]
    }

    private func messages(_ name: String, _ request: Request, _ exchange: Exchange) async throws -> Response {
        let page = try PageRequest(request.head)
        let query = try MessageQuery(request.head)
        let owned = try owned(exchange)
        let form = MessageListForm.object("data") {
            $0.member("object", "list")
        } message: {
            $0.json(of: $1)
        } behind: { end, json in
            json.member("total", end.total)
            json.member("limit", page.limit)
            json.member("offset", page.offset)
            json.member("has_more", end.next != nil)
            json.member("next_cursor", end.next.map { "\($0)" })
        }
        return try await owned.messages(of: owned.session(name), query, limit: page.limit, form, exchange)
    }

    private func append(
        _ name: String, _ request: Request, _ exchange: Exchange, mustBeList: Bool = false
    ) async throws -> Response {
        let owned = try owned(exchange)
        _ = try await owned.session(name)
        let (messages, isList) = try await request.read(upTo: bodyLimit) {
            try MessageFields.messages($0, mustBeList: mustBeList)
        }
        let (session, stored) = try await owned.append(messages, to: name)
        let shown = try await BodyWork.run(on: stored.reduce(0) { $0 + $1.body.readableBytes }) {
            if isList { return MessageObject.list(stored, of: session.key) }
            return stored.first.map { MessageObject($0).json(of: session.key) } ?? ByteBuffer(string: "null")
        }
        return .json(shown, status: .created)
    }
}

/// How a message is named within its session.
enum MessageName {
    /// The sequence number that a path names.
    static func seq(_ text: String) throws(GatewayError) -> Int64 {
        guard let seq = Int64(text), seq > 0 else { throw .messageNotFound }
        return seq
    }
}

extension GatewayError {
    /// The session is there, and has no such message.
    static let messageNotFound = GatewayError(
        .client, .notFound, code: "message_not_found", "The session has no message with this id.", param: "message_id")
}
