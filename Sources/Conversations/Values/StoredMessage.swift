public import NIOCore
public import Persistence

/// Who speaks in a message. What is stored is the message's JSON; this is for counting and cutting.
public enum MessageRole: Int64, Sendable, Hashable, CaseIterable {
    /// A role that this program does not know. The message's JSON has its name.
    case other = 0
    case system = 1
    case developer = 2
    case user = 3
    case assistant = 4
    case tool = 5
    case function = 6

    public init(name: String) {
        switch name {
        case "system": self = .system
        case "developer": self = .developer
        case "user": self = .user
        case "assistant": self = .assistant
        case "tool": self = .tool
        case "function": self = .function
        default: self = .other
        }
    }
}

/// A message of a turn that is to be stored.
public struct NewMessage: Sendable, Equatable {
    public var role: MessageRole
    /// The message's JSON as it came: unknown fields survive.
    public var body: ByteBuffer
    public var digest: StoredDigest
    /// Under which version of the rules the digest was made: one of another version has to be made anew.
    public var digestVersion: Int
    /// Its tokens, if they were counted.
    public var tokens: Int?
    /// By which encoding they were counted; other encodings count anew.
    public var tokenEncoding: Int?
    /// The model was cut off in the middle of it: its client left, or the upstream broke off.
    public var isPartial = false
    /// The part of a longer work that the message belongs to; up to 200 characters.
    public var chapter: String?
    /// A JSON array, as it came.
    public var citations: ByteBuffer?
    /// Who answered, where it is not the turn's model.
    public var model: String?
    /// How the answer ended, where it is not the turn's status.
    public var status: TurnStatus?
    /// A JSON object of the client's, as it came.
    public var metadata: ByteBuffer?
    /// When it was said, where it is older than its storing: in conversations that were brought from elsewhere.
    public var createdAt: Timestamp?

    public init(
        role: MessageRole, body: ByteBuffer, digest: StoredDigest, digestVersion: Int = 1, tokens: Int? = nil
    ) {
        self.role = role
        self.body = body
        self.digest = digest
        self.digestVersion = digestVersion
        self.tokens = tokens
    }
}

/// A message without its body: what the history is chosen by.
public struct MessageOutline: Sendable, Equatable {
    /// Its place in the session. Numbers of superseded messages are never used again.
    public var seq: Int64
    /// Neighbours with the same turn are one unit: history is cut between turns only.
    public var turnID: UniqueID
    public var role: MessageRole
    public var digest: StoredDigest
    public var digestVersion: Int
    public var tokens: Int?
}

/// A message of a session.
public struct StoredMessage: Sendable, Equatable {
    public var outline: MessageOutline
    /// The message's JSON as it came.
    public var body: ByteBuffer
    /// By which encoding `outline.tokens` were counted.
    public var tokenEncoding: Int?
    /// The model was cut off in the middle of it.
    public var isPartial: Bool
    /// Whether it calls tools; nil where nobody has looked. Memory looks once, for all requests that it is sent with.
    var callsTools: Bool?
    /// What the API shows beside it. Nil for none, as in memory: histories copy many messages.
    private var annotations: Annotations?
    /// The seq of the first message of the turn that took its place; nil for an active message.
    public var supersededBySeq: Int64?
    public var createdAt: Timestamp

    public var seq: Int64 { outline.seq }

    init(
        outline: MessageOutline, body: ByteBuffer, tokenEncoding: Int? = nil, isPartial: Bool = false,
        annotations: Annotations? = nil, supersededBySeq: Int64? = nil, createdAt: Timestamp
    ) {
        self.outline = outline
        self.body = body
        self.tokenEncoding = tokenEncoding
        self.isPartial = isPartial
        self.annotations = annotations
        self.supersededBySeq = supersededBySeq
        self.createdAt = createdAt
    }
}

// MARK: - What the API shows

extension StoredMessage {
    /// What belongs to a message and is sent to no model.
    final class Annotations: Sendable, Equatable {
        let chapter: String?
        let citations: ByteBuffer?
        let model: String?
        let status: String?
        let metadata: ByteBuffer?

        init(chapter: String?, citations: ByteBuffer?, model: String?, status: String?, metadata: ByteBuffer?) {
            self.chapter = chapter
            self.citations = citations
            self.model = model
            self.status = status
            self.metadata = metadata
        }

        static func == (one: Annotations, other: Annotations) -> Bool {
            one.chapter == other.chapter && one.citations == other.citations && one.model == other.model
                && one.status == other.status && one.metadata == other.metadata
        }
    }

    public var chapter: String? { annotations?.chapter }
    public var citations: ByteBuffer? { annotations?.citations }
    /// The model that answered; nil for what the client said.
    public var model: String? { annotations?.model }
    /// How the answer ended, as `TurnStatus` writes it; nil for what the client said.
    public var status: String? { annotations?.status }
    public var metadata: ByteBuffer? { annotations?.metadata }
}
