public import NIOCore
public import Persistence

/// A conversation that the server remembers: the row of `sessions`, without its messages.
public struct Session: Sendable, Equatable {
    /// What the printed form of a server-made id begins with.
    public static let idPrefix = "sess_"

    public let key: SessionKey
    /// What most steps of an exchange hand on and few look at: behind one reference, which is what a copy costs.
    private var details: Details
    /// The digest of the stored system messages; `ConversationReader.system` has their bytes.
    public var systemDigest: StoredDigest?

    /// The seq that the next message will get: everything below it exists. It is the `baseSeq` of a turn.
    public var nextSeq: Int64
    /// Where the history that is sent upstream begins, so that a prefix stays the same over many turns.
    public var contextStartSeq: Int64
    /// Grows with every change of the session or its messages: what a cache is validated by.
    public var version: Int64
    /// The newest turn.
    public var lastTurn: LastTurn?
    public var counters: SessionCounters

    public var createdAt: Timestamp
    public var updatedAt: Timestamp
    /// When the newest turn was stored; before the first one, when the session was made. Lists are ordered by it.
    public var lastMessageAt: Timestamp
    /// From when on the session is gone, as if it had been deleted; nil: never.
    public var expiresAt: Timestamp?
    /// When it was deleted; nil for every session that is not asked for as a deleted one.
    public var deletedAt: Timestamp?

    init(
        key: SessionKey, externalID: String?, conversation: AgentConversation?, settings: SessionSettings,
        systemDigest: StoredDigest?, nextSeq: Int64, contextStartSeq: Int64, version: Int64, lastTurn: LastTurn?,
        counters: SessionCounters, createdAt: Timestamp, updatedAt: Timestamp, lastMessageAt: Timestamp,
        expiresAt: Timestamp? = nil, deletedAt: Timestamp? = nil
    ) {
        self.key = key
        details = Details(externalID, conversation, settings)
        self.systemDigest = systemDigest
        self.nextSeq = nextSeq
        self.contextStartSeq = contextStartSeq
        self.version = version
        self.lastTurn = lastTurn
        self.counters = counters
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.lastMessageAt = lastMessageAt
        self.expiresAt = expiresAt
        self.deletedAt = deletedAt
    }

    /// Whether it is gone at that moment.
    func isExpired(at time: Timestamp) -> Bool { expiresAt.map { $0 <= time } ?? false }
}

// MARK: - Names and settings

extension Session {
    /// Immutable: a change makes another one.
    fileprivate final class Details: Sendable, Equatable {
        let externalID: String?
        let conversation: AgentConversation?
        let settings: SessionSettings

        init(_ externalID: String?, _ conversation: AgentConversation?, _ settings: SessionSettings) {
            self.externalID = externalID
            self.conversation = conversation
            self.settings = settings
        }

        static func == (one: Details, other: Details) -> Bool {
            one === other
                || one.externalID == other.externalID && one.conversation == other.conversation
                    && one.settings == other.settings
        }
    }

    /// The id that the client chose, in its user's own name space.
    public var externalID: String? {
        get { details.externalID }
        set { details = Details(newValue, conversation, settings) }
    }

    /// The conversation of an agent that it was made for.
    public var conversation: AgentConversation? {
        get { details.conversation }
        set { details = Details(externalID, newValue, settings) }
    }

    /// What may be changed by the API.
    public var settings: SessionSettings {
        get { details.settings }
        set { details = Details(externalID, conversation, newValue) }
    }
}

/// What was counted, so that nobody has to scan.
public struct SessionCounters: Sendable, Equatable {
    /// Active messages: superseded ones are not counted.
    public var messages: Int64 = 0
    /// Turns that were ever stored.
    public var turns: Int64 = 0
    /// What the providers reported, over all turns, superseded ones too: it was paid for.
    public var promptTokens: Int64 = 0
    public var completionTokens: Int64 = 0

    public init() {}
}

/// The newest turn of a session, as far as a client's retry is recognised by it.
public struct LastTurn: Sendable, Equatable {
    public var id: UniqueID
    /// The seq of its first message.
    public var firstSeq: Int64
    /// The session's `nextSeq` when the turn's exchange read the history.
    public var baseSeq: Int64
    /// What the client sent.
    public var requestDigest: StoredDigest
    /// The digest of the `Idempotency-Key` that the client sent with it.
    public var idempotencyKey: StoredDigest?
}

/// A conversation in an agent's own system: `session: {agent_id, external_conv_id, …}` of a request's body.
public struct AgentConversation: Sendable, Equatable {
    /// Up to 128 bytes.
    public var agentID: String
    /// Up to 255 bytes. With the agent it names the session within its user; nil: only the rest is known.
    public var externalID: String?
    public var isGroup = false
    public var groupName: String?
    public var participantID: String?
    public var peerAgentID: String?

    public init(agentID: String, externalID: String?) {
        self.agentID = agentID
        self.externalID = externalID
    }

    /// Whether nothing is known.
    public var isEmpty: Bool {
        agentID.isEmpty && externalID == nil && !isGroup && groupName == nil && participantID == nil
            && peerAgentID == nil
    }
}

/// What the API may change.
public struct SessionSettings: Sendable, Equatable {
    /// Up to 200 characters.
    public var title = ""
    public var sourceChannel: String?
    /// Provider and model that the client named when it made the session.
    public var provider: String?
    public var model: String?
    /// `max_history_messages`; nil: as configured.
    public var maxHistory: Int?
    /// `history_mode`; nil: as configured.
    public var historyMode: String?
    /// `truncation`; nil: as configured.
    public var truncation: String?
    /// A JSON object of the client's, as it came.
    public var metadata: ByteBuffer?
    /// `metadata_tags`: what lists can be filtered by.
    public var tags: [String] = []
    /// The documents that the conversation is about, in an application's own words.
    public var ragDocumentIDs: [String] = []
    /// How long after its last change the session expires; nil: never.
    public var ttlSeconds: Int?

    public init() {}

    /// When a session that is changed at `time` expires.
    func expiry(after time: Timestamp) -> Timestamp? {
        ttlSeconds.map { time.advanced(by: .seconds($0)) }
    }
}
