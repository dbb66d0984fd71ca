import Conversations
import Logging
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// Stores the turn of one exchange.
///
/// The turn's id is made once, so that what is tried again is stored once. A commit that has begun is finished even if
/// the exchange's task is cancelled meanwhile: the lane that writes it does not know of tasks.
struct TurnCommitter: Sendable {
    let store: ConversationStore
    let exchange: Exchange
    let key: SessionKey
    /// In the spool, for the case that the database does not answer.
    private let room: TurnRoom
    private let turnID = UniqueID.generate()

    init(store: ConversationStore, exchange: Exchange, key: SessionKey, room: TurnRoom) {
        self.store = store
        self.exchange = exchange
        self.key = key
        self.room = room
    }

    /// Makes sure that the spool has room for the turn with `count` bytes of its answer.
    ///
    /// - Parameter isWhole: whether nothing more of the answer comes.
    /// - Returns: With how many bytes to ask again.
    /// - Throws: `spool_full`: neither the database nor the spool would take the turn.
    func cover(answer count: Int, isWhole: Bool = false) throws(GatewayError) -> Int {
        let messages = exchange[PlannedTurnKey.self]?.plan.newMessages.count ?? 0
        do throws(TurnRoomError) {
            return try room.cover(answer: count, messages: messages + 1, isWhole: isWhole)
        } catch {
            throw GatewayError(error)
        }
    }

    /// Stores the answer that is the whole of `body`; says why not, if it is none.
    func commit(_ body: ByteBuffer) async throws -> CaptureSkip? {
        _ = try cover(answer: body.readableBytes, isWhole: true)
        let read: ReadAnswer?
        if BodyWork.isSmall(body.readableBytes) {
            read = ReadAnswer(body)
        } else {
            read = try await BodyWork.run(on: body.readableBytes) { ReadAnswer(body) }
        }
        guard let read else { return .notACompletion }
        if let usage = read.usage { exchange.noteInPlace { $0.usage = usage } }
        guard let answer = read.answer else { return .noOutput }
        try await commit(answer)
        return nil
    }

    /// Stores `answer`; returns after the commit, or when the turn is safe in the spool.
    ///
    /// - Throws: `turn_not_stored`, a ``GatewayError``: the answer must then not look complete to the client.
    func commit(_ answer: CapturedAnswer) async throws {
        guard let planned = exchange[PlannedTurnKey.self] else {
            throw GatewayError.internalError("a turn without a plan was to be stored")
        }
        exchange.noteInPlace { $0.captureStatus = answer.status.rawValue + (answer.isRepaired ? "_repaired" : "") }
        do {
            let size = planned.plan.newMessages.reduce(answer.message.readableBytes) { $0 + $1.body.readableBytes }
            var draft: TurnDraft
            if BodyWork.isSmall(size) {
                draft = try TurnDraft(id: turnID, planned, in: key, answer: answer.message)
            } else {
                draft = try await BodyWork.run(on: size) { [turnID, key] in
                    try TurnDraft(id: turnID, planned, in: key, answer: answer.message)
                }
            }
            complete(&draft, answer)
            draft.premise = store.premise(of: exchange)
            let outcome = try await store.append(draft, in: room)
            if outcome == .changedByOthers { throw refuse(planned) }
            noteEnd(outcome)
        } catch {
            throw noteFailure(error)
        }
    }

    @inline(never) private func refuse(_ planned: PlannedTurn) -> any Error {
        store.noteRefusal(of: planned, in: key)
        return DatabaseError(.retryTransaction, "another process had changed the session before the request came")
    }

    @inline(never) private func noteEnd(_ outcome: AppendOutcome) {
        room.release()
        // Before the client sees the end: its next request finds them stored, and not held as well.
        exchange[MessageHoldKey.self]?.release()
        if outcome == .sessionDeleted { sessionIsGone() }
        if outcome == .spooled { exchange.logger.debug("The turn was spooled.") }
    }

    @inline(never) private func noteFailure(_ error: any Error) -> GatewayError {
        exchange.note { $0.captureStatus = "not_stored" }
        exchange.logger.error("A turn could not be stored.", metadata: ["error": "\(String(reflecting: error))"])
        let detail = String(reflecting: error)
        return (error as? DatabaseError)?.cause == .size ? .tooLargeToStore(detail) : .turnNotStored(detail)
    }

    @inline(never) private func complete(_ draft: inout TurnDraft, _ answer: CapturedAnswer) {
        let (model, provider) = exchange.fact { ($0.model ?? $0.requestedModel ?? "", $0.provider ?? "") }
        draft.status = answer.status
        let isPartial = answer.status == .cancelled || answer.status == .upstreamError
        draft.messages[draft.messages.count - 1].isPartial = isPartial
        draft.model = Self.shortened(model, to: 255)
        draft.provider = Self.shortened(provider, to: 128)
        draft.promptTokens = answer.usage?.prompt
        draft.completionTokens = answer.usage?.completion
        let context = exchange[SessionContextKey.self]
        draft.title = context?.title
        if let chapter = context?.notes.chapter {
            for index in draft.messages.indices { draft.messages[index].chapter = chapter }
        }
        // Behind the newest of the request's messages stands the answer, here.
        for (behind, citations) in context?.notes.citations ?? [:] where behind < draft.messages.count - 1 {
            draft.messages[draft.messages.count - 2 - behind].citations = citations
        }
        if let citations = answer.citations, let last = draft.messages.indices.last {
            draft.messages[last].citations = draft.messages[last].citations ?? citations
        }
    }

    /// The answer is the client's all the same.
    private func sessionIsGone() {
        exchange.note { $0.captureStatus = "session_deleted" }
        exchange.logger.debug("The session was deleted while its answer was on the way; the turn is not stored.")
    }

    /// A name must not cost the turn.
    private static func shortened(_ name: String, to bytes: Int) -> String {
        guard name.utf8.count > bytes else { return name }
        return String(decoding: name.utf8.prefix(bytes - 3), as: UTF8.self).filter { $0 != "\u{FFFD}" }
    }
}

extension GatewayError {
    /// There is no room for a turn in the spool, so that a stored answer could not be promised.
    init(_ error: TurnRoomError) {
        switch error {
        case .full:
            self = .unavailable(
                "spool_full", "The server cannot take on more conversations right now. Try again in a moment.",
                detail: "no room in the spool, or its directory is gone: see /readyz, spool.max_size and the disk",
                retryAfterSeconds: 5)
        case .tooLarge(let limit):
            self.init(
                .client, .payloadTooLarge, code: "turn_too_large",
                "The request is larger than a turn that can be stored (\(limit) bytes, with its answer).",
                param: "messages")
        }
    }

    /// The answer is there, but the next request of the session would not know of it.
    static func turnNotStored(_ detail: String) -> GatewayError {
        .unavailable(
            "turn_not_stored", "The answer could not be stored in its session. Send the request again.", detail: detail)
    }
}
