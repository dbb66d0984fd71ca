public import NIOCore
public import Persistence
import Synchronization

/// How the exchange of a turn ended.
public enum TurnStatus: String, Sendable, Hashable, CaseIterable {
    case complete
    /// The provider stopped early: length, content filter.
    case incomplete
    /// The client left before the finish.
    case cancelled
    case upstreamError = "upstream_error"
    /// Written by the API, without an exchange.
    case imported
}

/// What one exchange adds to a session. It is stored as one unit, or not at all.
public struct TurnDraft: Sendable {
    /// Made before the first attempt: an attempt whose commit got no answer is recognised by it.
    public let id: UniqueID
    public let key: SessionKey
    /// The new messages of the client and the answer, in order; at least one.
    public var messages: [NewMessage]
    /// The session's `nextSeq` when the exchange read the history: what it could know.
    public var baseSeq: Int64
    /// The digest of what the client sent: recognises a retry.
    public var requestDigest: StoredDigest
    /// Which attempt of its client it is: 0 for the first, more for a request that was sent again.
    public var attempt = 0
    /// The digest of the client's `Idempotency-Key`. The session's newest turn is superseded if it answers the same messages
    /// under the same key.
    public var idempotencyKey: StoredDigest?
    /// The history that goes upstream begins here from now on; nil leaves what the session has. It moves
    /// back only if nothing was stored since `baseSeq`.
    public var contextStart: Int64?
    /// Which stored messages it takes the place of.
    public var supersedes = Supersession()
    /// The session's newest turn that the exchange knew. It says more than `baseSeq` where that was counted on turns
    /// which were not stored yet: such a turn supersedes only if exactly this one is the newest. Nil: not checked.
    package var knownTurn: KnownTurn?
    /// The same for a turn on its way to the database: by it what the exchange knew is recognised when something came
    /// behind it meanwhile. Not spooled.
    var baseTurn: KnownTurn?
    /// What its exchange took the session to be without asking; nil: it asked. Not spooled.
    package var premise: Premise?
    /// Whether it has been tried; nil: perhaps. One that was not cannot be stored already. Not spooled.
    var trial: FirstTrial?
    public var status = TurnStatus.complete
    public var model = ""
    public var provider = ""
    /// As the provider reported them.
    public var promptTokens: Int?
    public var completionTokens: Int?
    /// The system and developer messages of the request; nil if it had none, then those that are stored stay.
    public var system: SystemMessages?
    /// What the session is called from then on, if it has no title yet.
    package var title: String?

    public init(
        id: UniqueID = .generate(), key: SessionKey, baseSeq: Int64, requestDigest: StoredDigest,
        messages: [NewMessage]
    ) {
        self.id = id
        self.key = key
        self.baseSeq = baseSeq
        self.requestDigest = requestDigest
        self.messages = messages
    }
}

/// Knows whether something on its way to the database has been tried: a lane tries it again when the answer was lost.
final class FirstTrial: Sendable {
    private let isOver = Atomic(false)

    /// Whether this is the first one, of which no trace can be in the database.
    func begin() -> Bool { !isOver.exchange(true, ordering: .relaxed) }
}

extension TurnDraft {
    /// The model's name, where there is one.
    var modelName: String? { model.isEmpty ? nil : model }
}

/// The leading system and developer messages of a session: the latest seen are kept.
public struct SystemMessages: Sendable, Equatable {
    /// A JSON array of the messages as they came.
    public var body: ByteBuffer
    public var digest: StoredDigest

    public init(body: ByteBuffer, digest: StoredDigest) {
        self.body = body
        self.digest = digest
    }
}

/// What becomes of a session's stored system messages.
public enum SystemChange: Sendable, Equatable {
    case keep
    case clear
    case set(SystemMessages)
}

/// Which stored messages a turn takes the place of. Both wishes are checked under the session's lock; nothing that
/// the turn's exchange did not know is ever superseded, except the attempt that it repeats.
public struct Supersession: Sendable, Equatable {
    /// Everything active from this seq on (the first one of a turn), up to `baseSeq`. What was stored since then stays.
    public var fromSeq: Int64?
    /// The session's newest turn, if its `requestDigest` and `baseSeq` equal this turn's: the client says that it
    /// repeats a request.
    public var retriesLastTurn = false

    public init(fromSeq: Int64? = nil, retriesLastTurn: Bool = false) {
        self.fromSeq = fromSeq
        self.retriesLastTurn = retriesLastTurn
    }
}

/// Which turn of a session an exchange knew as the newest.
package enum KnownTurn: Sendable, Equatable {
    /// The session had none.
    case first
    case after(UniqueID)

    package init(_ session: Session) { self = session.lastTurn.map { .after($0.id) } ?? .first }
}

/// What became of a turn.
public enum AppendOutcome: Sendable, Equatable {
    case stored(StoredTurn)
    /// It is safe in the spool on local disk, and will be stored behind what others store meanwhile.
    case spooled
    /// An earlier attempt had stored it: nothing was written.
    case alreadyStored(firstSeq: Int64)
    /// The session was deleted meanwhile, or never was this owner's: the turn is discarded.
    case sessionDeleted
    /// Another process had changed the session before the exchange began, which had taken it from memory unasked: the turn is
    /// not stored.
    case changedByOthers
}

/// A turn that was stored.
public struct StoredTurn: Sendable, Equatable {
    /// The seq of its first message; the others follow without a gap.
    public var firstSeq: Int64
    public var messageCount: Int
    /// The session's version with this turn.
    public var version: Int64
    public var superseded: SupersessionOutcome
}

/// What became of the wish to supersede.
public enum SupersessionOutcome: Sendable, Equatable {
    /// It was not asked for.
    case notAsked
    /// Done: from this seq, so many messages.
    case done(fromSeq: Int64, messages: Int)
    /// The same, and something was stored meanwhile that the turn could not know: that stays.
    case doneInPart(fromSeq: Int64, messages: Int)
    /// Something was stored meanwhile that the turn could not know, and what it knew cannot be told from it: it was
    /// appended behind it.
    case appendedInstead
    /// The client sent the request again, after it had left or under the same idempotency key, and that later attempt, which
    /// begins at this seq, is stored already: this one was stored as superseded by it.
    case overtaken(byRetryAt: Int64)
}
