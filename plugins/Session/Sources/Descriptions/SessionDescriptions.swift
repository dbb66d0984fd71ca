import TurnpikeKit

/// What the API document says about the routes of sessions and messages. `suffix` tells the alias from the original.
enum SessionDescriptions {
    private static let integer = #"{"type":"integer","minimum":0}"#

    static let limit = limit("default 50")

    /// - Parameter fallback: What holds for a request without it.
    static func limit(_ fallback: String) -> RouteParameter {
        RouteParameter(
            "limit", #"{"type":"integer","minimum":1,"maximum":1000}"#, "Most elements of the page (\(fallback)).")
    }
    static let offset = RouteParameter(
        "offset", #"{"type":"integer","minimum":0,"maximum":2147483647}"#, "How many elements come before the page.")
    static let filters = [
        RouteParameter("scope", #"{"type":"string","enum":["own","all"]}"#, "“all”: group sessions too."),
        RouteParameter("agent_id", #"{"type":"string"}"#, "Only sessions of this agent."),
        RouteParameter("source_channel", #"{"type":"string"}"#, "Only sessions from this channel; also “channel”."),
        RouteParameter("tag", #"{"type":"string"}"#, "Only sessions with this tag."),
        RouteParameter("title", #"{"type":"string"}"#, "Only sessions with this text in the title; also “q”."),
        RouteParameter("deleted", #"{"type":"string","enum":["true","false"]}"#, "“true”: deleted sessions only."),
        RouteParameter("cursor", #"{"type":"string"}"#, "The next_cursor of an earlier page."),
    ]
    static let messageParameters = [
        RouteParameter("chapter", #"{"type":"string"}"#, "Only messages of this chapter."),
        RouteParameter("order", #"{"type":"string","enum":["asc","desc"]}"#, "Oldest first (the default), or newest."),
        RouteParameter("cursor", integer, "The next_cursor of an earlier page: the id of its last message."),
    ]

    static func create(_ suffix: String) -> RouteDescription {
        RouteDescription(
            "createSession" + suffix, "Makes a session, or finds the one of an external conversation.",
            body: "SessionFields",
            answers: [
                RouteAnswer(201, "Session", "The new session."),
                RouteAnswer(200, "Session", "The session that the external conversation has already."),
                RouteAnswer(409, "Error", "A session with this id exists."),
            ])
    }

    static func list(_ suffix: String) -> RouteDescription {
        .page(
            "listSessions" + suffix, "Your sessions, newest activity first.", "SessionList", "A page of sessions.",
            more: filters)
    }

    static func erase(_ suffix: String) -> RouteDescription {
        RouteDescription(
            "eraseSessions" + suffix,
            "Removes all your sessions for good, with everything in them. Rows of the activity log stay for accounting.",
            parameters: [
                RouteParameter(
                    "confirm", #"{"type":"string","enum":["erase"]}"#, "Says that it is meant.", isRequired: true)
            ],
            answers: [RouteAnswer(200, "Erasure", "How much was removed.")])
    }

    static func get(_ suffix: String) -> RouteDescription {
        .giving(
            "getSession" + suffix, "A session with its number of messages and its last activity.", "Session",
            "The session.")
    }

    static func change(_ verb: String, _ suffix: String) -> RouteDescription {
        .giving(
            verb + "Session" + suffix, "Changes the fields that the body names; null clears one.", "Session",
            "The session as it is now.", body: "SessionChanges", more: conversationTaken)
    }

    static let conversationTaken = [
        RouteAnswer(409, "Error", "Another session is this conversation of the agent.")
    ]

    static func delete(_ suffix: String) -> RouteDescription {
        RouteDescription(
            "deleteSession" + suffix, "Deletes a session; it can be restored unless it is purged.",
            parameters: [
                RouteParameter("purge", #"{"type":"string","enum":["true","false"]}"#, "Removes it for good.")
            ],
            answers: [RouteAnswer(200, "SessionDeleted", "It is gone.")])
    }

    static func restore(_ suffix: String) -> RouteDescription {
        .giving(
            "restoreSession" + suffix, "Brings a deleted session back, by the id that the server made.", "Session",
            "The session.")
    }

    static func messages(_ suffix: String) -> RouteDescription {
        .page(
            "listMessages" + suffix, "The messages of a session.", "MessageList", "A page of messages.",
            more: messageParameters)
    }

    static func append(_ suffix: String) -> RouteDescription {
        .giving(
            "appendMessage" + suffix, "Stores a message, or several, that were said elsewhere.",
            "StoredMessageOrMessages", "As they are stored.", status: 201, body: "MessageOrMessages")
    }

    static func appendBatch(_ suffix: String) -> RouteDescription {
        .giving(
            "appendMessages" + suffix, "Stores several messages: all of them, or none.", "StoredMessages",
            "As they are stored.", status: 201, body: "NewMessages")
    }

    static func message(_ suffix: String) -> RouteDescription {
        .giving(
            "getMessage" + suffix, "A message by its id in its session.", "Message", "The message.")
    }
}
