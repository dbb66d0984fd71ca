import Conversations
import NIOHTTP1
import Persistence
import TurnpikeKit

/// How many sessions and messages a user may have, and how long sessions live. 0 stands for no limit.
struct SessionLimits: Sendable, Equatable {
    /// `ttl` (duration, default none): how long after its last change a session expires, unless it says so itself.
    var ttlSeconds = 0
    /// `max_per_user` (number, default none): active sessions.
    var maxSessions = 0
    /// `max_messages_per_session` (number, default none): stored messages, superseded ones too.
    var maxMessagesPerSession = 0
    /// `max_messages_per_user` (number, default none): stored messages of all sessions together, of deleted ones too.
    var maxMessagesPerUser = 0

    init() {}

    init(_ section: ConfigurationSection, defaults: SessionLimits = SessionLimits()) throws {
        let ttl = try section.duration("ttl", default: .seconds(defaults.ttlSeconds)).components.seconds
        guard ttl <= SessionSettings.maximumTTL else { throw section.error("ttl", "more than a hundred years") }
        ttlSeconds = Int(ttl)
        maxSessions = try section.int("max_per_user", default: defaults.maxSessions)
        maxMessagesPerSession = try section.int("max_messages_per_session", default: defaults.maxMessagesPerSession)
        maxMessagesPerUser = try section.int("max_messages_per_user", default: defaults.maxMessagesPerUser)
    }

    func apply(to draft: inout SessionDraft) {
        if draft.settings.ttlSeconds == nil, ttlSeconds > 0 { draft.settings.ttlSeconds = ttlSeconds }
        draft.maximumSessions = maximumSessions
    }

    var messages: MessageLimits {
        MessageLimits(
            perSession: maxMessagesPerSession > 0 ? maxMessagesPerSession : nil,
            perUser: maxMessagesPerUser > 0 ? maxMessagesPerUser : nil)
    }

    var maximumSessions: Int? { maxSessions > 0 ? maxSessions : nil }

    /// Refuses an exchange whose turn would be too much, before anything is done: an answer that was paid for is never
    /// given up. Exchanges that begin at once count each other.
    ///
    /// - Returns: What the exchange holds until its turn is stored; nil without limits.
    func hold(_ session: Session, _ store: ConversationStore) async throws -> MessageHold? {
        guard !messages.isNone else { return nil }
        do {
            return try await store.hold(Self.messagesOfTurn, of: session.key, within: messages)
        } catch let error as ConversationError {
            throw GatewayError(error)
        }
    }

    /// A question and its answer. What else a client sends with it is known when its history is.
    private static let messagesOfTurn = 2
}

extension GatewayError {
    /// 403 and not 429: the clients' libraries would try that again, and nothing changes by waiting.
    static func limitReached(_ code: String, _ message: String) -> GatewayError {
        GatewayError(.client, .forbidden, code: code, message)
    }
}
