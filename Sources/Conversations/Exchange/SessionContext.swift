package import TurnpikeKit

/// The session that an exchange belongs to, as the steps of the chain share it. Left by `session`.
package struct SessionContext: Sendable {
    /// As it was when the exchange began.
    package var session: Session
    /// Never `off`: such an exchange has no session.
    package var mode: HistoryMode
    /// Whether the client says that it sends the request again (`x-stainless-retry-count` of 1 or more).
    package var isRetry: Bool
    /// The header of that name. A request that comes with the same one as an earlier attempt repeats it.
    package var idempotencyKey: String?
    /// The part of a longer work that the new messages belong to.
    package var chapter: String?

    package init(
        session: Session, mode: HistoryMode, isRetry: Bool = false, idempotencyKey: String? = nil,
        chapter: String? = nil
    ) {
        precondition(mode != .off, "An exchange that leaves its session alone has no context.")
        self.session = session
        self.mode = mode
        self.isRetry = isRetry
        self.idempotencyKey = idempotencyKey
        self.chapter = chapter
    }
}

/// Left by `session`; absent without a session, and where the session is to be left alone.
package enum SessionContextKey: ExchangeKey { package typealias Value = SessionContext }

/// What an exchange will store: its plan, and the request that it was made for.
package struct PlannedTurn: Sendable {
    package var plan: HistoryPlan
    /// Recognises the request when it comes again.
    package var requestDigest: StoredDigest

    package init(plan: HistoryPlan, requestDigest: StoredDigest) {
        self.plan = plan
        self.requestDigest = requestDigest
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
