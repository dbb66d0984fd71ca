import NIOHTTP1
package import TurnpikeKit

extension ConversationStore {
    /// To be called with every exchange that ends with an error: a first attempt that ends before it was planned is the
    /// outcome of nothing that is stored. A client that sends it again repeats no turn, even if the session's newest one
    /// answers the same words.
    ///
    /// Not where the session was answering another request, which may be the same one, sent twice at once.
    package func noteRefusal(_ error: GatewayError, of exchange: Exchange) {
        guard error.code != "session_locked", !exchange.has(PlannedTurnKey.self), !exchange.has(DryRunKey.self)
        else { return }
        noteRefusal(error, of: exchange.head)
    }

    /// The same for a request that got no exchange.
    package func noteRefusal(_ error: GatewayError, of head: RequestHead) {
        guard Self.isRetried(error), head.path.hasSuffix("/chat/completions"), head.retryCount == 0,
            !head.headers.contains(name: "idempotency-key")
        else { return }
        attempts.noteRefusal(head)
    }

    /// To be called with a turn that is not stored because others had changed its session before it was planned: no turn is
    /// its outcome, not even one of theirs that answers the same words.
    package func noteRefusal(of planned: PlannedTurn, in session: SessionKey) {
        attempts.note(planned.attempt(in: session), base: .max)
    }

    /// What clients' libraries send again by themselves.
    private static func isRetried(_ error: GatewayError) -> Bool {
        [408, 409, 429].contains(error.status.code) || error.status.code >= 500
    }
}

extension RequestHead {
    /// How often the client's library says that it has sent the request before.
    package var retryCount: Int {
        max(0, headers.first(name: "x-stainless-retry-count").flatMap { Int($0) } ?? 0)
    }
}
