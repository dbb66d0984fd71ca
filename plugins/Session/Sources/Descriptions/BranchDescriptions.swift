import TurnpikeKit

/// Branches in the API document.
enum BranchDescriptions {
    static func list(_ suffix: String) -> RouteDescription {
        .page(
            "listBranches" + suffix, "What the conversation left when it was edited, the last one first.", "Branches",
            "A page of branches.")
    }

    static func messages(_ suffix: String) -> RouteDescription {
        .page(
            "messagesOfBranch" + suffix, "The messages of a branch, without what precedes it.", "BranchMessages",
            "The messages, oldest first.")
    }

    static func restore(_ suffix: String) -> RouteDescription {
        .giving(
            "restoreBranch" + suffix, "Makes the conversation what it was before the branch was left.", "Session",
            "The session as it is now.")
    }

    static let schemas = [
        RouteSchema(
            "Branch",
            """
            {"type":"object","additionalProperties":false,"required":["id","object","session_id","message_count",
            "first_message_id","last_message_id","last_message_at"],"properties":{"id":{"type":"integer"},
            "object":{"const":"chat.session.branch"},"session_id":{"type":"string"},
            "fork_message_id":{"type":["integer","null"]},"first_message_id":{"type":"integer"},
            "last_message_id":{"type":"integer"},"message_count":{"type":"integer"},
            "last_message_at":{"type":"integer"},"left_at":{"type":["integer","null"]}}}
            """),
        SessionSchemas.list("Branches", of: "Branch"),
        RouteSchema(
            "BranchMessages",
            """
            {"type":"object","additionalProperties":false,"required":["object","data"],"properties":{"object":{"const":"list"},
            "data":{"type":"array","items":{"$ref":"#/components/schemas/Message"}}}}
            """),
    ]
}
