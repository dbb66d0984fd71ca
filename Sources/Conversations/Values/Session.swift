public import NIOCore
public import Persistence

/// A conversation that the server remembers: the row of `sessions`, without its messages.
///
/// One reference, whatever the row holds: a session is handed on at every step of an exchange, and would otherwise lie in
/// the frame of each function that waits with it. What is changed is copied.
public struct Session: Sendable {
    /// What the printed form of a server-made id begins with.
    public static let idPrefix = "sess_"

    private var row: Row

    init(
        key: SessionKey, externalID: String?, conversation: AgentConversation?, settings: SessionSettings,
        systemDigest: StoredDigest?, nextSeq: Int64, contextStartSeq: Int64, version: Int64, lastTurn: LastTurn?,
        counters: SessionCounters, createdAt: Timestamp, updatedAt: Timestamp, lastMessageAt: Timestamp,
        expiresAt: Timestamp? = nil, deletedAt: Timestamp? = nil
    ) {
        row = Row(
            Values(
                key: key, externalID: externalID, conversation: conversation, settings: settings,
                systemDigest: systemDigest, nextSeq: nextSeq, contextStartSeq: contextStartSeq, version: version,
                lastTurn: lastTurn, counters: counters, createdAt: createdAt, updatedAt: updatedAt,
                lastMessageAt: lastMessageAt, expiresAt: expiresAt, deletedAt: deletedAt))
    }

    /// Changes several values at the price of one.
    mutating func change(_ change: (inout Values) -> Void) {
        var values = row.values
        change(&values)
        row = Row(values)
    }

    /// Whether it is gone at that moment.
    func isExpired(at time: Timestamp) -> Bool { expiresAt.map { $0 <= time } ?? false }
}

// MARK: - Values

extension Session {
    struct Values: Sendable, Equatable {
        let key: SessionKey
        var externalID: String?
        var conversation: AgentConversation?
        var settings: SessionSettings
        var systemDigest: StoredDigest?
        var nextSeq: Int64
        var contextStartSeq: Int64
        var version: Int64
        var lastTurn: LastTurn?
        var counters: SessionCounters
        var createdAt: Timestamp
        var updatedAt: Timestamp
        var lastMessageAt: Timestamp
        var expiresAt: Timestamp?
        var deletedAt: Timestamp?
    }

    /// Immutable: a change makes another one.
    private final class Row: Sendable {
        let values: Values
        init(_ values: Values) { self.values = values }
    }

    public var key: SessionKey { row.values.key }
    /// The id that the client chose, in its user's own name space.
    public var externalID: String? {
        get { row.values.externalID }
        set { change { $0.externalID = newValue } }
    }
    /// The conversation of an agent that it was made for.
    public var conversation: AgentConversation? {
        get { row.values.conversation }
        set { change { $0.conversation = newValue } }
    }
    /// What may be changed by the API.
    public var settings: SessionSettings {
        get { row.values.settings }
        set { change { $0.settings = newValue } }
    }
    /// The digest of the stored system messages; `ConversationReader.system` has their bytes.
    public var systemDigest: StoredDigest? {
        get { row.values.systemDigest }
        set { change { $0.systemDigest = newValue } }
    }
    /// The seq that the next message will get: everything below it exists. It is the `baseSeq` of a turn.
    public var nextSeq: Int64 {
        get { row.values.nextSeq }
        set { change { $0.nextSeq = newValue } }
    }
    /// Where the history that is sent upstream begins, so that a prefix stays the same over many turns.
    public var contextStartSeq: Int64 {
        get { row.values.contextStartSeq }
        set { change { $0.contextStartSeq = newValue } }
    }
    /// Grows with every change of the session or its messages: what a cache is validated by.
    public var version: Int64 {
        get { row.values.version }
        set { change { $0.version = newValue } }
    }
    /// The newest turn.
    public var lastTurn: LastTurn? {
        get { row.values.lastTurn }
        set { change { $0.lastTurn = newValue } }
    }
    public var counters: SessionCounters {
        get { row.values.counters }
        set { change { $0.counters = newValue } }
    }
    public var createdAt: Timestamp {
        get { row.values.createdAt }
        set { change { $0.createdAt = newValue } }
    }
    public var updatedAt: Timestamp {
        get { row.values.updatedAt }
        set { change { $0.updatedAt = newValue } }
    }
    /// When the newest turn was stored; before the first one, when the session was made. Lists are ordered by it.
    public var lastMessageAt: Timestamp {
        get { row.values.lastMessageAt }
        set { change { $0.lastMessageAt = newValue } }
    }
    /// From when on the session is gone, as if it had been deleted; nil: never.
    public var expiresAt: Timestamp? {
        get { row.values.expiresAt }
        set { change { $0.expiresAt = newValue } }
    }
    /// When it was deleted; nil for every session that is not asked for as a deleted one.
    public var deletedAt: Timestamp? {
        get { row.values.deletedAt }
        set { change { $0.deletedAt = newValue } }
    }
}

extension Session: Equatable {
    public static func == (one: Session, other: Session) -> Bool {
        one.row === other.row || one.row.values == other.row.values
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
