import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// Leaves the request's session in the exchange, and takes everything that names it out of the request.
///
/// A request that names none passes byte for byte.
struct SessionMiddleware: Middleware {
    let store: ConversationStore
    let configuration: SessionConfiguration
    let bodyLimit: Int

    func pass(_ request: Request, in exchange: Exchange) throws -> Passing {
        guard exchange[EndpointKey.self] == .chatCompletions else { return .done }
        guard let chat = request.scannedChatRequest else { return .handle }
        return SessionSelection.isAbsent(from: chat.object, request.head) ? .done : .handle
    }

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        guard exchange[EndpointKey.self] == .chatCompletions else { return try await next(request) }
        if request.scannedChatRequest == nil { try await scan(request) }
        if let request = try await withoutSession(request) { return try await next(request) }
        return try await handleSession(request, in: exchange, next: next)
    }

    /// The request as a chat, which `handle` has scanned: it is not held in the frames of functions that wait.
    private func chat(_ request: Request) throws -> ChatRequest {
        guard let chat = request.scannedChatRequest else {
            throw GatewayError.internalError("a request that was scanned is not known")
        }
        return chat
    }

    @inline(never) private func scan(_ request: Request) async throws {
        _ = try await request.chatRequest(upTo: bodyLimit)
    }

    /// The request without the fields that are for Turnpike, if it names no session or wants none to be used; else `nil`.
    @inline(never) private func withoutSession(_ request: Request) async throws -> Request? {
        let chat = try chat(request)
        if SessionSelection.isMade(in: chat.object, request.head) { return nil }
        let selection = try SessionSelection(chat.object, request.head)
        guard !selection.namesSession || selection.mode == .off else { return nil }
        var request = request
        let citations = try selection.namesSession ? RequestCitations(chat) : RequestCitations()
        try await request.removeSessionFields(
            of: chat, namesSession: selection.namesSession, messages: citations.messages)
        return request
    }

    /// What a request asks of its session. A reference: functions that wait hold a word of it.
    private final class Wish: Sendable {
        let chat: ChatRequest
        let selection: SessionSelection
        let principal: Principal
        /// The messages without their citations; nil where they have none.
        let messages: [ByteBuffer]?

        init(
            _ chat: ChatRequest, _ selection: SessionSelection, _ principal: Principal, messages: [ByteBuffer]?
        ) {
            self.chat = chat
            self.messages = messages
            self.selection = selection
            self.principal = principal
        }
    }

    /// Apart, so that a stream without a session does not hold the memory for it.
    @inline(never) private func handleSession(
        _ request: Request, in exchange: Exchange, next: Next
    ) async throws -> Response {
        let wish = try wish(request, in: exchange)
        var request = request
        try await request.removeSessionFields(of: wish.chat, namesSession: true, messages: wish.messages)
        guard let context = try await context(wish, request.head, in: exchange) else { return try await next(request) }
        exchange[SessionContextKey.self] = context
        exchange.noteInPlace { $0.sessionID = context.session.key.session }
        var response = try await next(request)
        response.headers.replaceOrAdd(name: "x-session-id", value: context.session.printedID)
        return response
    }

    private func wish(_ request: Request, in exchange: Exchange) throws -> Wish {
        let chat = try chat(request)
        var selection = try SessionSelection(chat.object, request.head)
        let citations = try RequestCitations(chat)
        selection.citations = citations.found
        guard let principal = exchange[PrincipalKey.self] else {
            throw GatewayError.internalError("session ran before auth")
        }
        return Wish(chat, selection, principal, messages: citations.messages)
    }

    /// The session that is wished for, which is made if need be; nil where it is to be left alone.
    ///
    /// Apart too: what finding it takes is not held while the answer streams.
    @inline(never) private func context(_ wish: Wish, _ head: RequestHead, in exchange: Exchange) async throws
        -> SessionContext?
    {
        let isDryRun = exchange.has(DryRunKey.self)
        let usual = wish.principal.historyMode ?? configuration.historyMode
        let found: Session?
        if isDryRun {
            found = try await existing(wish.selection, wish.principal, exchange)
        } else if wish.selection.mode == nil, usual == .off {
            found = try await known(wish.selection, of: wish.principal, exchange)
        } else {
            found = try await self.found(wish, exchange)
        }
        guard var session = found else { return nil }
        let stored = session.settings.historyMode.flatMap(HistoryMode.init)
        let mode = wish.selection.mode ?? stored ?? usual
        guard mode != .off else { return nil }
        if !isDryRun { try await hold(session, wish.principal, exchange) }
        if !isDryRun { session = try await takingTurns(session, exchange) }
        return SessionContext(
            session: session, mode: mode, attempt: head.retryCount,
            idempotencyKey: head.headers.first(name: "idempotency-key"), notes: wish.selection.notes,
            title: lateTitle(session, wish.selection, wish.chat))
    }
}

// MARK: - Finding and making

extension SessionMiddleware {
    /// Counts the turn that is to come where the user's messages are limited.
    private func hold(_ session: Session, _ principal: Principal, _ exchange: Exchange) async throws {
        guard let hold = try await configuration.limits(of: principal.userName).hold(session, store) else { return }
        exchange[MessageHoldKey.self] = hold
        exchange.onFinish { _ in hold.release() }
    }

    /// What a session that the API made without a title is called by the first that is said in it: stored with that turn,
    /// so that it costs no exchange anything.
    private func lateTitle(_ session: Session, _ selection: SessionSelection, _ chat: ChatRequest) -> String? {
        guard session.settings.title.isEmpty, session.nextSeq == 1 else { return nil }
        return title(selection, chat)
    }

    /// The session once this exchange may go on with it, see ``SessionGate``.
    private func takingTurns(_ session: Session, _ exchange: Exchange) async throws -> Session {
        let entry = try await store.gate.enter(
            session.key, configuration.concurrency, waiting: configuration.concurrencyWait, exchange)
        guard entry == .afterWaiting else { return session }
        // What the one before stored is there now, in the database or in the spool.
        let reference = SessionReference(session.key.session)
        guard let now = try await store.sessionOfExchange(reference, of: session.key.owner, in: exchange) else {
            throw GatewayError.sessionNotFound
        }
        return now
    }

    /// A dry run makes nothing.
    private func existing(
        _ selection: SessionSelection, _ principal: Principal, _ exchange: Exchange
    ) async throws -> Session {
        guard let name = selection.name,
            let session = try await store.sessionOfExchange(name.reference, of: principal.userID, in: exchange)
        else { throw GatewayError.sessionNotFound }
        try selection.check(session)
        return session
    }

    /// The session where all are left alone that do not say otherwise themselves: none is made, and none is missed.
    private func known(
        _ selection: SessionSelection, of principal: Principal, _ exchange: Exchange
    ) async throws -> Session? {
        guard let name = selection.name else {
            return try await store.existing(selection.draft(owner: principal.userID))
        }
        let session = try await store.sessionOfExchange(name.reference, of: principal.userID, in: exchange)
        if let session { try selection.check(session) }
        return session
    }

    private func found(_ wish: Wish, _ exchange: Exchange) async throws -> Session {
        let (selection, chat, principal) = (wish.selection, wish.chat, wish.principal)
        guard let name = selection.name else {
            return try await findOrCreate(draft(selection, chat, of: principal))
        }
        if let session = try await store.sessionOfExchange(name.reference, of: principal.userID, in: exchange) {
            try selection.check(session)
            return session
        }
        let policy = name.isExplicit ? configuration.unknownInBody : configuration.unknownInHeader
        // An id with the server's prefix was made here: it is somebody else's, or deleted.
        guard policy == .create, !name.text.hasPrefix(Session.idPrefix) else { throw GatewayError.sessionNotFound }
        let session: Session
        do {
            session = try await store.createOrFind(draft(selection, chat, of: principal)).session
        } catch {
            throw Self.ofMaking(error)
        }
        // Its conversation may have been another session's.
        try selection.check(session, isNamed: name)
        return session
    }

    private func draft(_ selection: SessionSelection, _ chat: ChatRequest, of principal: Principal) -> SessionDraft {
        var draft = selection.draft(owner: principal.userID)
        if draft.settings.title.isEmpty, let title = title(selection, chat) { draft.settings.title = title }
        configuration.limits(of: principal.userName).apply(to: &draft)
        return draft
    }

    /// The first words of the first message, where sessions are called by them.
    private func title(_ selection: SessionSelection, _ chat: ChatRequest) -> String? {
        guard configuration.title == .firstMessage || selection.conversation != nil else { return nil }
        return FirstWords.title(of: chat)
    }

    private func findOrCreate(_ draft: SessionDraft) async throws -> Session {
        do {
            return try await store.findOrCreate(draft).session
        } catch {
            throw Self.ofMaking(error)
        }
    }

    /// What became of making a session, as a chat's client is told it.
    private static func ofMaking(_ error: any Error) -> any Error {
        switch error {
        case let error as ConversationError: return GatewayError(error)
        // Whether it was made makes no difference to the request that is sent again: it finds it.
        case let error as DatabaseError where error.failure == .unknownAtCommit:
            return DatabaseError(.unavailable, error.reason, code: error.code)
        default: return error
        }
    }
}

extension Session {
    /// The id as the API prints it.
    var printedID: String { key.printedID }
}

extension SessionKey {
    /// The session's id as the API prints it.
    var printedID: String { session.description(prefix: Session.idPrefix) }
}

extension GatewayError {
    /// What a client did wrong with a session.
    init(_ error: ConversationError) {
        switch error {
        case .invalid(let reason): self = .badRequest("invalid_value", "Invalid session: \(reason).")
        case .tooManyMessages(let limit, .session):
            self = .limitReached(
                "message_limit_reached", "A session has at most \(limit) messages. Begin a new one.")
        case .tooManyMessages(let limit, .user):
            self = .limitReached(
                "message_limit_reached", "Your sessions have at most \(limit) messages together. Purge some of them.")
        case .tooManySessions(let limit):
            self = .limitReached(
                "session_limit_reached", "You have \(limit) sessions, and may have no more. Delete some of them.")
        case .conversationTaken:
            self.init(
                .client, .conflict, code: "conversation_exists",
                "Another session of yours has this agent_id and external_conv_id.", param: "external_conv_id")
        case .alreadyExists:
            self.init(.client, .conflict, code: "session_exists", "A session with this id exists already.", param: "id")
        }
    }
}
