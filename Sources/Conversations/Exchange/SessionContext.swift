package import NIOCore
import OpenAIWire
import Persistence
package import TurnpikeKit

import struct Crypto.SHA256

/// The session that an exchange belongs to, as the steps of the chain share it. Left by `session`. A reference, because
/// it is carried through the whole exchange.
package final class SessionContext: Sendable {
    /// As it was when the exchange began.
    package let session: Session
    /// Never `off`: such an exchange has no session.
    package let mode: HistoryMode
    /// How often the client says that it has sent the request before (`x-stainless-retry-count`).
    package let attempt: Int
    /// The header of that name. A request that comes with the same one as an earlier attempt repeats it.
    package let idempotencyKey: String?
    package let notes: MessageNotes
    /// What is stored of the idempotency key.
    let idempotencyDigest: StoredDigest?
    /// What the session is called with its first turn, if it has no title by then.
    package let title: String?

    package init(
        session: Session, mode: HistoryMode, attempt: Int = 0, idempotencyKey: String? = nil,
        notes: MessageNotes = MessageNotes(), title: String? = nil
    ) {
        precondition(mode != .off, "An exchange that leaves its session alone has no context.")
        self.session = session
        self.mode = mode
        self.attempt = attempt
        self.idempotencyKey = idempotencyKey
        self.notes = notes
        self.title = title
        idempotencyDigest = idempotencyKey.map { StoredDigest(SHA256.hash(data: Array($0.utf8))) }
    }

    /// Whether the client may be sending the request again.
    ///
    /// - Parameter base: of the earlier attempt, if this process remembers one. Of one that came with the same idempotency
    ///   key the newest turn itself tells: it may have come to another process, or before a restart, or before an attempt
    ///   that this process remembers. One that came with another key, or with one where this has none, is another request.
    func repetition(earlier base: Int64?) -> Repetition {
        let (key, last) = (idempotencyDigest, session.lastTurn)
        if let key, let last, last.idempotencyKey == key { return .known(base: last.baseSeq) }
        if let base, attempt > 0 || idempotencyKey != nil { return .known(base: base) }
        return attempt > 0 && last?.idempotencyKey == key ? .claimed : .none
    }
}

/// What a request says of its messages that is kept beside them, and never goes upstream.
package struct MessageNotes: Sendable {
    /// The part of a longer work that the new messages belong to.
    package let chapter: String?
    /// What they cite, a JSON array each, by how many messages of the request stand behind.
    package let citations: [Int: ByteBuffer]

    package init(chapter: String? = nil, citations: [Int: ByteBuffer] = [:]) {
        self.chapter = chapter
        self.citations = citations
    }
}

/// Left by `session`; absent without a session, and where the session is to be left alone.
package enum SessionContextKey: ExchangeKey { package typealias Value = SessionContext }

/// What an exchange will store: its plan, and the request that it was made for. A reference, because it is carried
/// through the whole exchange.
package final class PlannedTurn: Sendable {
    package let plan: HistoryPlan
    /// Recognises the request when it comes again.
    package let requestDigest: StoredDigest
    /// Which attempt of its client it is; 0 is the first.
    let attempt: Int
    let idempotencyKey: StoredDigest?
    private let idempotencyText: String?
    /// The session's newest turn when the plan was made; `nil` where the session could not be read.
    let knownTurn: KnownTurn?
    /// Counts the tokens of what is stored; `nil` leaves them uncounted.
    let meter: (any TokenMeter)?
    /// The tokens of the plan's new messages, where `meter` has counted them already.
    let newTokens: [Int]?

    /// A first attempt whose tokens nobody counts.
    package init(plan: HistoryPlan, requestDigest: StoredDigest) {
        self.plan = plan
        self.requestDigest = requestDigest
        attempt = 0
        idempotencyKey = nil
        idempotencyText = nil
        knownTurn = nil
        meter = nil
        newTokens = nil
    }

    /// The turn of a planned exchange.
    ///
    /// - Parameter target: the one that it goes to first, whose encoding counts; `nil` counts nothing.
    package init(_ history: PlannedHistory, _ plan: HistoryPlan, _ context: SessionContext, target: RouteTarget?) {
        self.plan = plan
        requestDigest = history.turn.digest
        attempt = max(context.attempt, plan.isRetry ? 1 : 0)
        idempotencyKey = context.idempotencyDigest
        idempotencyText = context.idempotencyKey
        knownTurn = history.snapshot.knownTurn
        let counts = target.map { history.counts(for: $0) }
        meter = counts?.meter
        newTokens = counts?.new
    }

    /// By what the request is recognised when its client sends it again.
    func attempt(in session: SessionKey) -> AttemptLog.Key {
        AttemptLog.Key(session, requestDigest, idempotencyKey: idempotencyText)
    }
}

/// Left by `history`, or by `capture` where the history is switched off.
package enum PlannedTurnKey: ExchangeKey { package typealias Value = PlannedTurn }

/// The body that the planned turn's messages lie in. Left beside the plan, so that its bytes stay counted as long as
/// they are held.
package enum PlannedBodyKey: ExchangeKey { package typealias Value = RequestBody }

/// How many bytes of new messages a turn may have. Left by `capture`, checked before the request goes upstream.
package enum TurnLimitKey: ExchangeKey { package typealias Value = Int }

/// The conversations of all users, for the plugins that share them.
package enum ConversationStoreKey: ResourceKey { package typealias Value = ConversationStore }
