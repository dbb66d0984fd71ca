import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// The sessions API, as far as conversations need it: make, list, read, delete. Everybody sees only their own.
struct SessionRoutes: Sendable {
    let store: ConversationStore
    let bodyLimit: Int

    /// Most elements of a page.
    private static let maximumLimit = 1_000

    var all: [Route] {
        ["/v1/chat/sessions", "/chat/sessions"].flatMap { base in
            [
                Route(.POST, base) { request, _, exchange in try await create(request, exchange) },
                Route(.GET, base) { request, _, exchange in try await list(request, exchange) },
                Route(.GET, base + "/{id}") { _, path, exchange in
                    .json(SessionObject.json(try await session(path["id"], exchange)))
                },
                Route(.DELETE, base + "/{id}") { request, path, exchange in
                    try await delete(path["id"], request, exchange)
                },
                Route(.GET, base + "/{id}/messages") { request, path, exchange in
                    try await messages(path["id"], request, exchange)
                },
            ]
        }
    }

    private func owner(_ exchange: Exchange) throws -> UniqueID {
        guard let principal = exchange[PrincipalKey.self] else {
            throw GatewayError.internalError("a session route ran before auth")
        }
        return principal.userID
    }

    private func session(_ name: String, _ exchange: Exchange) async throws -> Session {
        let reference = SessionReference(try SessionName.check(name, "id"))
        guard let session = try await store.session(reference, of: owner(exchange)) else {
            throw GatewayError.sessionNotFound
        }
        return session
    }

    private func create(_ request: Request, _ exchange: Exchange) async throws -> Response {
        let bytes = try await request.body.collect(upTo: bodyLimit)
        let draft = try SessionCreationBody.draft(bytes, owner: owner(exchange))
        do {
            switch try await store.findOrCreate(draft) {
            case .created(let session): return .json(SessionObject.json(session), status: .created)
            case .found where draft.externalID != nil: throw ConversationError.alreadyExists
            case .found(let session): return .json(SessionObject.json(session))
            }
        } catch let error as ConversationError {
            throw GatewayError(error)
        }
    }

    private func list(_ request: Request, _ exchange: Exchange) async throws -> Response {
        let owner = try owner(exchange)
        let (limit, offset) = try page(request.head)
        let filter = SessionFilter(
            agentID: request.head.queryItem("agent_id"), sourceChannel: request.head.queryItem("source_channel"))
        let page = try await store.read { try $0.sessions(of: owner, filter, limit: limit, offset: offset) }
        return .json(SessionObject.list(page.elements.map(SessionObject.json), total: page.total, limit, offset))
    }

    private func delete(_ name: String, _ request: Request, _ exchange: Exchange) async throws -> Response {
        let reference = SessionReference(try SessionName.check(name, "id"))
        let owner = try owner(exchange)
        let isPurge = request.head.queryItem("purge") == "true"
        let active = try await store.session(reference, of: owner)?.key
        // What was deleted before has no name of the client's any more, but its own id still leads to its rows.
        let key = active ?? (isPurge ? reference.id.map { SessionKey(owner: owner, session: $0) } : nil)
        guard let key else { throw GatewayError.sessionNotFound }
        let outcome = isPurge ? try await store.purge(key) : try await store.delete(key)
        guard outcome == .deleted else { throw GatewayError.sessionNotFound }
        return .json(SessionObject.deleted(key))
    }

    private func messages(_ name: String, _ request: Request, _ exchange: Exchange) async throws -> Response {
        let session = try await session(name, exchange)
        let (limit, offset) = try page(request.head)
        let query = MessageQuery(limit: limit, offset: offset)
        let held = exchange.reservation()
        exchange.keepToEnd(held)
        let page = try await store.read(counting: held) { try $0.messages(of: session.key, query) }
        // Each message is shown twice, whole and by its content, and copied once more into the list.
        let shown = 4 * held.bytes
        try held.take(shown)
        let list = try await BodyWork.run(on: shown) {
            SessionObject.list(
                page.elements.map { SessionObject.json($0, of: session) }, total: page.total, limit, offset)
        }
        return .json(list)
    }

    private func page(_ head: RequestHead) throws -> (limit: Int, offset: Int) {
        func number(_ name: String, default fallback: Int, in range: ClosedRange<Int>) throws -> Int {
            guard let text = head.queryItem(name) else { return fallback }
            guard let number = Int(text), range.contains(number) else {
                throw GatewayError.badRequest(
                    "invalid_value",
                    "“\(name)” is a whole number from \(range.lowerBound) to \(range.upperBound).", param: name)
            }
            return number
        }
        return (
            try number("limit", default: 50, in: 1...Self.maximumLimit),
            try number("offset", default: 0, in: 0...Int(Int32.max))
        )
    }
}
