import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// What one user can do with sessions: the one code behind every dialect. Nothing here reaches another user's rows.
struct OwnedSessions: Sendable {
    let store: ConversationStore
    let owner: UniqueID
    let limits: SessionLimits
    private let searchTime: Duration
    /// The request's header of that name.
    private let idempotencyKey: String?
    private let exchange: Exchange

    init(_ store: ConversationStore, _ configuration: SessionConfiguration, _ exchange: Exchange) throws {
        guard let principal = exchange[PrincipalKey.self] else {
            throw GatewayError.internalError("a session route ran before auth")
        }
        self.store = store
        self.exchange = exchange
        owner = principal.userID
        limits = configuration.limits(of: principal.userName)
        searchTime = configuration.searchTime
        idempotencyKey = exchange.head.headers.first(name: "idempotency-key")
    }

    /// The session that a client names by any form of its id.
    func session(_ name: String, _ param: String = "id") async throws -> Session {
        let reference = SessionReference(try SessionName.check(name, param))
        guard let session = try await store.session(reference, of: owner) else { throw GatewayError.sessionNotFound }
        return session
    }

    /// The same with the text of its system messages; empty without any.
    func sessionWithPrompt(_ name: String) async throws -> (session: Session, prompt: String) {
        let session = try await session(name)
        return (session, try await prompt(of: session))
    }

    func prompt(of session: Session) async throws -> String {
        guard session.systemDigest != nil, let system = try await store.read({ try $0.system(session.key) }) else {
            return ""
        }
        let messages = (try? JSONArray.elements(of: system.body)) ?? []
        return messages.map { MessageText.of($0.bytes) }.joined(separator: "\n\n")
    }

    /// Makes a session, or finds the one of the external conversation.
    func create(_ fields: SessionFields) async throws -> FoundSession {
        var draft = try fields.draft(owner: owner)
        limits.apply(to: &draft)
        let (store, wanted) = (store, draft)
        return try await blamingClient {
            let found = try await store.findOrCreate(wanted)
            if case .found = found, wanted.externalID != nil { throw ConversationError.alreadyExists }
            return found
        }
    }

    /// What a caller did wrong with a conversation, as an answer to a client.
    func blamingClient<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as ConversationError {
            throw GatewayError(error)
        }
    }

    func change(_ name: String, _ fields: SessionFields) async throws -> Session {
        let session = try await session(name)
        try fields.checkID(of: session)
        let system = try fields.system()
        let changed = try await blamingClient {
            try await store.update(session.key, system: system, conversation: { try fields.apply(to: &$0) }) {
                try fields.apply(to: &$0)
            }
        }
        guard let changed else { throw GatewayError.sessionNotFound }
        return changed
    }

    /// Deletes a session in name, or with all its rows.
    func delete(_ name: String, isPurge: Bool) async throws -> SessionKey {
        let reference = SessionReference(try SessionName.check(name, "id"))
        let active = try await store.session(reference, of: owner)?.key
        // What was deleted before has no name of the client's any more, but its own id still leads to its rows.
        let key = active ?? (isPurge ? reference.id.map { SessionKey(owner: owner, session: $0) } : nil)
        guard let key else { throw GatewayError.sessionNotFound }
        let outcome = isPurge ? try await store.purge(key) : try await store.delete(key)
        guard outcome == .deleted else { throw GatewayError.sessionNotFound }
        return key
    }

    func restore(_ name: String) async throws -> Session {
        guard let id = SessionReference(try SessionName.check(name, "id")).id,
            let session = try await blamingClient({
                try await store.restore(SessionKey(owner: owner, session: id), maximum: limits.maximumSessions)
            })
        else { throw GatewayError.sessionNotFound }
        return session
    }

    /// A page of the user's sessions. What no index knows is looked for slice by slice, no longer than a search.
    func list(_ query: SessionQuery, _ exchange: Exchange) async throws -> SessionPage {
        let owner = owner
        try await store.expireIfPossible(owner)
        guard !query.filter.isIndexed else {
            let page = try await store.read { try $0.sessions(of: owner, query) }
            return SessionPage(elements: page.elements, total: page.total)
        }
        var walk = SessionListWalk(query)
        try await TimeSlices(exchange.clock, searchTime).run { [store] isOver in
            let start = walk
            walk = try await store.read { try $0.go(on: start, of: owner, until: isOver) }
            return walk.isOver
        }
        return walk.page
    }

    /// A page of what belongs to a session beside its messages, as the API shows it.
    func page<Element: Sendable>(
        of name: String, _ head: RequestHead, as show: (Element, SessionKey) -> ByteBuffer,
        _ read: @escaping @Sendable (ConversationReader, SessionKey, PageRequest) throws -> Page<Element>
    ) async throws -> Response {
        let page = try PageRequest(head)
        let key = try await session(name).key
        let found = try await store.read { try read($0, key, page) }
        return .json(
            SessionObject(defaultTitle: "").list(
                found.elements.map { show($0, key) }, total: found.total, page, next: nil,
                hasMore: page.offset + found.elements.count < found.total))
    }

    /// Counts bodies until the exchange is over.
    private func reservation() -> BufferReservation {
        let held = exchange.reservation()
        exchange.keepToEnd(held)
        return held
    }

    /// One message in its canonical form.
    func message(_ seq: Int64, of session: Session) async throws -> ByteBuffer {
        let (key, held) = (session.key, reservation())
        let found = try await store.read(counting: held) { try $0.messages(of: key, seqs: [seq]) }
        guard let message = found.first else { throw GatewayError.messageNotFound }
        let shown = MessageObject.copies * held.bytes
        try held.take(shown)
        return try await BodyWork.run(on: shown) { MessageObject(message).json(of: key) }
    }

    /// Messages as `form` shows them, all that are asked for: counted against what all exchanges may hold together.
    ///
    /// - Parameter limit: Most of them; nil: as many as there are.
    func messages(
        of session: Session, _ query: MessageQuery, limit: Int?, _ form: MessageListForm, _ exchange: Exchange
    ) async throws -> Response {
        try await MessageList(store, session, query, limit: limit, form, counting: exchange.reservation())
            .response(in: exchange)
    }
}

// MARK: - Appending

extension OwnedSessions {
    /// Stores messages that were said elsewhere: all of them, or none. With an `Idempotency-Key` they are stored once,
    /// however often the request is sent.
    ///
    /// - Returns: The messages as they are stored.
    func append(_ messages: [NewMessage], to name: String) async throws -> (session: Session, [StoredMessage]) {
        let session = try await session(name)
        // What is read back and shown is counted before anything is stored: behind that nothing is refused.
        try reservation().take((1 + MessageObject.copies) * messages.reduce(0) { $0 + $1.body.readableBytes })
        let outcomes = try await stored(turns(messages, of: session))
        // Those that were stored before lie where they lay, perhaps superseded meanwhile.
        var seqs: [Int64] = []
        for (outcome, count) in outcomes {
            let seq: Int64
            switch outcome {
            case .stored(let stored): seq = stored.firstSeq
            case .alreadyStored(let firstSeq): seq = firstSeq
            case .sessionDeleted: throw GatewayError.sessionNotFound
            case .spooled: throw GatewayError.internalError("several turns at once are never spooled")
            case .changedByOthers: throw GatewayError.internalError("a turn of the API assumes nothing")
            }
            seqs += seq..<seq + Int64(count)
        }
        return (session, try await store.read { [seqs] in try $0.messages(of: session.key, seqs: seqs) })
    }

    /// The outcomes, and how many messages each turn has.
    private func stored(_ turns: [TurnDraft]) async throws -> [(AppendOutcome, count: Int)] {
        do {
            let outcomes = try await blamingClient { try await store.append(all: turns, within: limits.messages) }
            return zip(outcomes, turns).map { ($0, $1.messages.count) }
        } catch let error as DatabaseError where error.failure == .unknownAtCommit && idempotencyKey != nil {
            throw GatewayError.unavailable(
                "storage_unconfirmed",
                """
                The storage did not confirm the messages in time. Send the request again with the same Idempotency-Key: \
                nothing is stored twice.
                """, detail: String(reflecting: error))
        }
    }

    /// One turn for each thing that the user says, so that history can be cut between them.
    private func turns(_ messages: [NewMessage], of session: Session) -> [TurnDraft] {
        var turns: [[NewMessage]] = []
        for message in messages {
            if message.role == .user || turns.isEmpty { turns.append([]) }
            turns[turns.count - 1].append(message)
        }
        return turns.enumerated().compactMap { index, messages in
            guard let digest = messages.first?.digest else { return nil }
            let id = idempotencyKey.map { TurnDraft.id(of: messages, at: index, idempotencyKey: $0) }
            var turn = TurnDraft(
                id: id ?? .generate(), key: session.key, baseSeq: session.nextSeq, requestDigest: digest,
                messages: messages)
            turn.status = .imported
            return turn
        }
    }
}
