import TurnpikeKit

/// Feedback and sums in the API document.
enum FeedbackDescriptions {
    static func set(_ verb: String, _ suffix: String) -> RouteDescription {
        RouteDescription(
            verb + "Feedback" + suffix, "Says what you think; what you said before is replaced.",
            body: "FeedbackFields",
            answers: [RouteAnswer(verb == "give" ? 201 : 200, "Feedback", "As it is stored.")])
    }

    static func get(_ suffix: String) -> RouteDescription {
        .giving(
            "getFeedback" + suffix, "What you said about it.", "Feedback", "The feedback.")
    }

    static func remove(_ suffix: String) -> RouteDescription {
        .giving(
            "removeFeedback" + suffix, "Takes it back.", nil, "It is gone.", status: 204)
    }

    static func list(_ suffix: String) -> RouteDescription {
        .page(
            "listFeedback" + suffix, "What you said about a session and the messages in it.", "FeedbackList",
            "A page of feedback.")
    }

    static func statistics(_ suffix: String) -> RouteDescription {
        .giving(
            "feedbackStatistics" + suffix, "What your feedback adds up to.", "FeedbackStatistics", "The sums.")
    }

    static func sessionStatistics(_ suffix: String) -> RouteDescription {
        .giving(
            "sessionStatistics" + suffix, "What you have in sessions.", "SessionStatistics", "The sums.")
    }
}

/// Search in the API document.
enum SearchDescriptions {
    private static let answers = [RouteAnswer(200, "SearchResult", "What was found, and where to go on.")]

    static func post(_ suffix: String) -> RouteDescription {
        RouteDescription(
            "search" + suffix, "Looks through your titles and messages, newest first.", body: "SearchFields",
            answers: answers)
    }

    static func get(_ suffix: String) -> RouteDescription {
        RouteDescription(
            "searchByQuery" + suffix, "Looks through your titles and messages, newest first.",
            parameters: [
                RouteParameter(
                    "query", #"{"type":"string","minLength":1,"maxLength":250}"#, "What to look for; also “q”."),
                RouteParameter("limit", #"{"type":"integer","minimum":1,"maximum":100}"#, "Most hits (default 20)."),
                RouteParameter("cursor", #"{"type":"string"}"#, "The next_cursor of an earlier page."),
            ], answers: answers)
    }
}

/// Export and import in the API document.
enum TransferDescriptions {
    private static let format = RouteParameter(
        "format", #"{"type":"string","enum":["json","markdown"]}"#, "JSON (the default), or Markdown for people.")
    private static let export = [
        RouteAnswer(
            200, "Export", "The export, streamed.", contentTypes: ["application/json", "text/markdown"])
    ]

    static func exportOne(_ suffix: String) -> RouteDescription {
        RouteDescription(
            "exportSession" + suffix, "One session with all its messages.", parameters: [format], answers: export)
    }

    static func exportAll(_ suffix: String) -> RouteDescription {
        RouteDescription("exportSessions" + suffix, "All your sessions.", parameters: [format], answers: export)
    }

    static func importAll(_ suffix: String) -> RouteDescription {
        var description = RouteDescription.giving(
            "importSessions" + suffix, "Stores what an export holds, or what Markdown shows of it, as new sessions.",
            "Import", "What was stored.", status: 201, body: "ImportFields")
        description.bodyTypes.append("text/markdown")
        return description
    }
}

/// The dialects of other systems in the API document.
enum DialectDescriptions {
    static func create(_ suffix: String) -> RouteDescription {
        RouteDescription(
            "create" + suffix, "Makes a session.", body: "SessionFields",
            answers: [
                RouteAnswer(201, suffix, "The session."), RouteAnswer(409, "Error", "A session with this id exists."),
            ])
    }

    static func list(_ suffix: String) -> RouteDescription {
        .page(
            "list\(suffix)s", "Your sessions, newest activity first; X-Total-Count says how many there are.",
            suffix + "s", "A page of sessions.", more: SessionDescriptions.filters)
    }

    static func get(_ suffix: String) -> RouteDescription {
        .giving(
            "get" + suffix, "A session.", suffix, "The session.")
    }

    static func change(_ verb: String, _ suffix: String) -> RouteDescription {
        .giving(
            verb + suffix, "Changes the fields that the body names.", suffix, "The session as it is now.",
            body: "SessionChanges", more: SessionDescriptions.conversationTaken)
    }

    static func delete(_ suffix: String) -> RouteDescription {
        .giving(
            "delete" + suffix, "Removes a session and its messages for good: it cannot be restored.", nil,
            "It is gone.", status: 204)
    }

    static func messages(_ suffix: String, _ name: String) -> RouteDescription {
        .page(
            (name == "history" ? "history" : "messages") + "Of" + suffix,
            "The messages of a session, oldest first: all of them, or a page; X-Total-Count says how many there are.",
            suffix + "Messages", "The messages.", more: SessionDescriptions.messageParameters,
            limit: SessionDescriptions.limit("all that there are, if it is not given"))
    }

    static func append(_ suffix: String) -> RouteDescription {
        .giving(
            "appendTo" + suffix, "Stores a message that was said elsewhere.", suffix + "Message", "As it is stored.",
            status: 201, body: "NewMessage")
    }

    static let history = RouteDescription(
        "history", "What was said in a session, or in a chapter of it.",
        parameters: [
            RouteParameter(
                "session_id", #"{"type":"string","minLength":1}"#,
                "The session, which must be named here or by the header."),
            RouteParameter(
                "X-Session-ID", #"{"type":"string","minLength":1}"#, "The session; the query must not name another.",
                in: .header),
            SessionDescriptions.limit("default \(historyLimit)"), SessionDescriptions.offset,
        ] + SessionDescriptions.messageParameters,
        answers: [
            RouteAnswer(200, "History", "A page of messages."),
            RouteAnswer(404, "Error", "You have no session with this id."),
        ])

    /// Most messages of a page of the history that names no limit.
    static let historyLimit = 100
}
