import NIOCore
public import Persistence

/// A session that is to be made, or found if it exists.
public struct SessionDraft: Sendable, Equatable {
    /// The key it will get if it does not exist yet.
    public let key: SessionKey
    /// The id that the client chose; up to 255 bytes.
    public var externalID: String?
    public var conversation: AgentConversation?
    public var settings = SessionSettings()
    /// The system messages it begins with.
    public var system: SystemMessages?
    /// How many sessions its user may have with this one; nil: any number.
    public var maximumSessions: Int?

    public init(owner: UniqueID, externalID: String? = nil, conversation: AgentConversation? = nil) {
        key = SessionKey(owner: owner, session: .generate())
        self.externalID = externalID
        self.conversation = conversation
    }

    func validate() throws {
        try settings.validate()
        try Limit.check(externalID, 255, "the session's id")
        if externalID == "" { throw ConversationError.invalid("the session's id is empty") }
        try conversation?.validate()
    }
}

extension AgentConversation {
    func validate() throws {
        try Limit.check(agentID, 128, "agent_id")
        try Limit.check(externalID, 255, "external_conv_id")
        try Limit.check(groupName, 255, "group_name")
        try Limit.check(participantID, 255, "participant_id")
        try Limit.check(peerAgentID, 128, "peer_agent_id")
        if externalID == "" { throw ConversationError.invalid("external_conv_id is empty") }
    }
}

extension SessionSettings {
    /// A hundred years, in seconds.
    public static let maximumTTL = 3_155_760_000

    func validate() throws {
        if title.unicodeScalars.count > 200 {
            throw ConversationError.invalid("the title has more than 200 characters")
        }
        try Limit.check(sourceChannel, 64, "source_channel")
        try Limit.check(provider, 128, "the provider's name")
        try Limit.check(model, 255, "the model's name")
        try Limit.check(historyMode, 16, "history_mode")
        try Limit.check(truncation, 16, "truncation")
        try Limit.check(tags, "metadata_tags")
        try Limit.check(ragDocumentIDs, "rag_document_ids")
        if let ttlSeconds, !(1...Self.maximumTTL).contains(ttlSeconds) {
            throw ConversationError.invalid("the time to live is from 1 to \(Self.maximumTTL) seconds")
        }
        if let maxHistory, maxHistory < 0 { throw ConversationError.invalid("max_history_messages is negative") }
        if let metadata, metadata.readableBytes > 1 << 20 {
            throw ConversationError.invalid("the metadata exceed 1 MB")
        }
    }
}

/// The lengths of columns. SQLite does not enforce them, so both back ends are checked here.
private enum Limit {
    static func check(_ text: String?, _ bytes: Int, _ what: String) throws {
        guard let text, text.utf8.count > bytes else { return }
        throw ConversationError.invalid("\(what) has more than \(bytes) bytes")
    }

    static func check(_ list: [String], _ what: String) throws {
        if list.count > 1_000 { throw ConversationError.invalid("\(what) has more than 1000 elements") }
        for text in list { try check(text, 255, "an element of \(what)") }
    }
}

/// Whether a session was there.
public enum FoundSession: Sendable, Equatable {
    case found(Session)
    case created(Session)

    public var session: Session {
        switch self {
        case .found(let session), .created(let session): session
        }
    }
}
