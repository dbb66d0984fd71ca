package import NIOCore

/// What an exchange reads from its session, sends to the model, and will store: made before the request goes upstream.
///
/// The final messages are the instructions, then the stored messages of `injected`, then what the client sent.
package struct HistoryPlan: Sendable, Equatable {
    /// Why the model sees the part of the history that it sees, as the response header tells it.
    package enum Reason: String, Sendable {
        /// Nothing is stored yet.
        case empty
        /// All of the history is there.
        case all
        /// The limit on messages left the oldest ones out.
        case messageLimit = "max_history_messages"
        /// The token budget left the oldest ones out.
        case tokenBudget = "token_budget"
        /// The model's context is not known: the configured guess decided how much is there.
        case assumedContext = "assumed_context"
        /// What the client sent does not fit into the model's context. Only a shadow says so; else it is an error.
        case tooLong = "context_length_exceeded"
        /// The client sent the history itself.
        case clientHistory = "client_history"
        /// The client sent the whole conversation and it differs from the stored one, whose rest is superseded.
        case branched
        /// The client asked for its messages to replace the conversation.
        case replaced = "replace"
        /// The history is switched off for this exchange; its turn is stored all the same.
        case switchedOff = "history_off"
        /// The history could not be read, and the configuration says to answer without it.
        case unavailable
    }

    /// Which instructions go first.
    package enum Instructions: Sendable, Equatable {
        /// Those of the request, which may be none.
        case fromRequest
        /// The session's stored ones: the request has none.
        case fromSession
    }

    /// What the turn adds to the session besides the answer. Empty when the client asks for an answer to what is stored.
    package var newMessages: [IncomingTurn.Message]
    package var instructions: Instructions
    /// The request's instructions if the session has to remember them; `nil` leaves what it has.
    package var instructionsToStore: [ByteBuffer]?
    /// The seqs of the stored messages that go in front: all active ones among them; `nil` for none.
    package var injected: Range<Int64>?
    package var injectedCount: Int
    /// Active messages that the model does not see because of a limit.
    package var droppedCount: Int
    /// Active messages that the turn supersedes.
    package var supersededCount: Int
    package var reason: Reason
    /// The session's `nextSeq` when the plan was made: the turn supersedes nothing that was stored since.
    package var baseSeq: Int64
    /// The turn supersedes the active messages from this `seq` on; `nil` for none.
    package var supersededFrom: Int64?
    /// The client may be repeating a request: the session's newest turn is superseded if it has this base and is the
    /// answer to the same messages. Checked again when the turn is stored.
    package var isRetry: Bool
    /// Whether the turn that is repeated was there already when the plan was made.
    package var repeatsLastTurn: Bool
    /// Tokens of the stored messages that are sent, where they were counted.
    package var tokens: Int?
    /// Tokens that they may have.
    package var budget: Int?
    /// Where the history begins from now on; `nil` leaves it.
    package var contextStart: Int64?
    /// An answer that was cut off is among what is sent.
    package var isPartial = false
}

extension HistoryPlan {
    /// A plan that injects and supersedes nothing.
    package init(newMessages: [IncomingTurn.Message], base: Int64, reason: Reason = .all) {
        self.init(
            newMessages: newMessages, instructions: .fromRequest, instructionsToStore: nil, injected: nil,
            injectedCount: 0, droppedCount: 0, supersededCount: 0, reason: reason, baseSeq: base, supersededFrom: nil,
            isRetry: false, repeatsLastTurn: false)
    }
}
