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
    /// `max_messages_per_user` (number, default none): stored messages of all sessions together. Where it is set, each
    /// request that may store something reads the rows of the user's sessions.
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
        if maxSessions > 0 { draft.maximumSessions = maxSessions }
    }

    /// Refuses what would be too much, before anything is done. Requests that come at once may pass together: a turn
    /// whose answer was paid for is never given up.
    func check(_ session: Session, adding count: Int, _ store: ConversationStore) async throws {
        if maxMessagesPerSession > 0, Int(session.nextSeq) - 1 + count > maxMessagesPerSession {
            throw GatewayError.limitReached(
                "message_limit_reached", "A session has at most \(maxMessagesPerSession) messages. Begin a new one.")
        }
        guard maxMessagesPerUser > 0 else { return }
        let owner = session.key.owner
        let stored = try await store.read { try $0.storedMessages(of: owner) }
        guard Int(stored) + count > maxMessagesPerUser else { return }
        throw GatewayError.limitReached(
            "message_limit_reached",
            "Your sessions have at most \(maxMessagesPerUser) messages together. Purge some of them.")
    }
}

extension GatewayError {
    /// 403 and not 429: the clients' libraries would try that again, and nothing changes by waiting.
    static func limitReached(_ code: String, _ message: String) -> GatewayError {
        GatewayError(.client, .forbidden, code: code, message)
    }
}
