import Conversations
import NIOCore
import OpenAIWire
import Persistence
import TurnpikeKit

/// Stores what an export holds as new sessions of the user, each in one transaction.
struct ImportReader {
    let owned: OwnedSessions

    /// - Returns: The new sessions, and how many messages they have.
    func store(_ body: RequestFields) async throws -> (sessions: [Session], messages: Int) {
        guard let elements = try body.elements("sessions") else { throw GatewayError(wire: .missing("sessions")) }
        // All of it is read before any of it is stored: what cannot be read leaves nothing behind.
        let imports = try elements.enumerated().map { try ImportedSession($1, param: "sessions[\($0)]") }
        try await owned.check(adding: imports)
        var sessions: [Session] = []
        for element in imports { sessions.append(try await owned.store(element)) }
        return (sessions, imports.reduce(0) { $0 + $1.messageCount })
    }
}

extension OwnedSessions {
    /// Refuses an import that would be too much, before any of it is stored.
    fileprivate func check(adding imports: [ImportedSession]) async throws {
        let limit = limits.messages.perSession
        if let limit, imports.contains(where: { $0.messageCount > limit }) {
            throw GatewayError(.tooManyMessages(limit: limit, of: .session))
        }
        try await blamingClient {
            try await store.check(
                owner, adding: imports.count, maximum: limits.maximumSessions,
                messages: imports.reduce(0) { $0 + $1.messageCount }, within: limits.messages)
        }
    }

    fileprivate func store(_ element: ImportedSession) async throws -> Session {
        var draft = SessionDraft(owner: owner)
        draft.settings = element.settings
        draft.system = element.system
        draft.conversation = element.conversation
        limits.apply(to: &draft)
        let (store, whole) = (store, draft)
        return try await blamingClient {
            try await store.create(
                whole, with: { session in element.turns.map { $0.draft(in: session) } }, within: limits.messages)
        }
    }
}

/// One session of an export, read.
struct ImportedSession: Sendable {
    struct Turn: Sendable {
        var id: String?
        var messages: [NewMessage]

        func draft(in session: Session) -> TurnDraft {
            guard let first = messages.first else { preconditionFailure("A turn has a message.") }
            var draft = TurnDraft(
                key: session.key, baseSeq: session.nextSeq, requestDigest: first.digest, messages: messages)
            draft.status = .imported
            return draft
        }
    }

    private(set) var settings = SessionSettings()
    private(set) var system: SystemMessages?
    private(set) var conversation: AgentConversation?
    private(set) var turns: [Turn] = []

    var messageCount: Int { turns.reduce(0) { $0 + $1.messages.count } }

    init(_ value: JSONValue, param: String) throws {
        guard let object = try GatewayError.blamingClient({ () throws(WireError) in try value.object() }) else {
            throw GatewayError(wire: .wrongType(param, expected: "an object"))
        }
        let draft = try SessionFields(object.withoutNames).draft(owner: .generate())
        settings = draft.settings
        conversation = draft.conversation
        let fields = RequestFields(object)
        let messages = try fields.elements("system") ?? []
        for (index, message) in messages.enumerated() where message.kind != .object {
            throw GatewayError(wire: .wrongType("\(param).system[\(index)]", expected: "an object"))
        }
        system = messages.isEmpty ? draft.system : SystemMessages(messages: messages.map(\.bytes))
        for (index, message) in (try fields.elements("messages") ?? []).enumerated() {
            try add(message, param: "\(param).messages[\(index)].")
        }
    }

    private mutating func add(_ value: JSONValue, param: String) throws {
        guard let object = try GatewayError.blamingClient({ () throws(WireError) in try value.object() }) else {
            throw GatewayError(wire: .wrongType(param, expected: "an object"))
        }
        var message = try MessageFields.message(Self.body(object), param: param)
        let fields = RequestFields(object)
        message.chapter = try MessageFields.chapter(fields, param)
        message.citations = try fields.array("citations").value.flatMap { $0.readableBytes > 2 ? $0 : nil }
        message.metadata = try fields.object("metadata").value.flatMap { $0.readableBytes > 2 ? $0 : nil }
        message.tokens = try fields.int("tokens", in: 0...Int(Int32.max)).value
        message.model = try fields.text("model").value
        message.status = try fields.text("status").value.flatMap(TurnStatus.init) ?? .imported
        message.createdAt = try fields.int("created_at", in: 0...4_102_444_800).value
            .map { Timestamp(microseconds: Int64($0) * 1_000_000) }
        let id = try fields.text("turn_id").value
        if let last = turns.last, id != nil ? last.id == id : message.role != .user {
            turns[turns.count - 1].messages.append(message)
        } else {
            turns.append(Turn(id: id, messages: [message]))
        }
    }

    /// The message as it came, which an export has under `message`.
    private static func body(_ object: JSONObject) throws -> JSONObject {
        guard let value = object.nonNull("message") else { return object }
        return try GatewayError.blamingClient { () throws(WireError) in try value.object() } ?? object
    }
}

extension JSONObject {
    /// Without what names the session: an import makes new ones.
    fileprivate var withoutNames: JSONObject {
        let edited = edited(["id", "session_id", "external_conv_id"].filter { self[$0] != nil }.map(JSONEdit.remove))
        return (try? JSONObject(scanning: edited)) ?? self
    }
}
