import TurnpikeKit

/// The schemas of sessions, messages and what belongs to them. Answers are closed: what they do not name is not there.
enum SessionSchemas {
    static let all = answers + DialectSchemas.all + SessionRequestSchemas.all

    private static let page =
        #""limit":{"type":"integer"},"offset":{"type":"integer"},"has_more":{"type":"boolean"},"next_cursor":{"type":["string","null"]}"#

    /// - Parameter total: The type of the number of all elements.
    static func list(
        _ name: String, of element: String, total: String = #"{"type":"integer","minimum":0}"#
    ) -> RouteSchema {
        RouteSchema(
            name,
            """
            {"type":"object","required":["object","data","total","limit","offset","has_more","next_cursor"],
            "additionalProperties":false,"properties":{"object":{"const":"list"},
            "data":{"type":"array","items":{"$ref":"#/components/schemas/\(element)"}},"total":\(total),
            \(page)}}
            """)
    }

    static let sessionProperties = """
        "id":{"type":"string","pattern":"^sess_[0-9a-f]{32}$"},
        "session_id":{"type":"string","pattern":"^sess_[0-9a-f]{32}$"},"object":{"const":"chat.session"},
        "owner":{"type":"string","format":"uuid"},
        "external_id":{"type":["string","null"]},"title":{"type":"string"},"session_name":{"type":"string"},
        "name":{"type":"string"},"provider":{"type":["string","null"]},"model":{"type":["string","null"]},
        "max_history_messages":{"type":["integer","null"]},
        "history_mode":{"enum":["auto","append","replace","off",null]},"truncation":{"enum":["rolling","stable",null]},
        "source_channel":{"type":["string","null"]},"metadata":{"$ref":"#/components/schemas/Metadata"},
        "metadata_tags":{"type":"array","items":{"type":"string"}},
        "rag_document_ids":{"type":"array","items":{"type":"string"}},"ttl":{"type":["integer","null"]},
        "agent_id":{"type":["string","null"]},"external_conv_id":{"type":["string","null"]},
        "is_group":{"type":"boolean"},"group_name":{"type":["string","null"]},
        "participant_id":{"type":["string","null"]},"peer_agent_id":{"type":["string","null"]},
        "message_count":{"type":"integer","minimum":0},"turn_count":{"type":"integer","minimum":0},
        "prompt_tokens":{"type":"integer","minimum":0},"completion_tokens":{"type":"integer","minimum":0},
        "is_active":{"type":"boolean"},"expires_at":{"type":["integer","null"]},
        "deleted_at":{"type":["integer","null"]},"created_at":{"type":"integer"},"updated_at":{"type":"integer"},
        "last_message_at":{"type":"integer"}
        """
    private static let sessionRequired = """
        "id","session_id","object","owner","external_id","title","session_name","name","provider","model",
        "max_history_messages","history_mode","truncation","source_channel","metadata","metadata_tags",
        "rag_document_ids","ttl","agent_id","external_conv_id","is_group","group_name","participant_id",
        "peer_agent_id","message_count","turn_count","prompt_tokens","completion_tokens","is_active","expires_at",
        "deleted_at","created_at","updated_at","last_message_at"
        """

    private static let answers = [
        RouteSchema(
            "Session",
            """
            {"type":"object","additionalProperties":false,"required":[\(sessionRequired),"system_prompt"],
            "properties":{\(sessionProperties),"system_prompt":{"type":["string","null"]}}}
            """),
        RouteSchema(
            "SessionSummary",
            """
            {"type":"object","additionalProperties":false,"required":[\(sessionRequired)],
            "properties":{\(sessionProperties)}}
            """),
        list(
            "SessionList", of: "SessionSummary",
            total: """
                {"description":"null for a filtered list that was not walked to its end.","type":["integer","null"],
                "minimum":0}
                """),
        RouteSchema(
            "SessionDeleted",
            """
            {"type":"object","additionalProperties":false,"required":["id","session_id","object","deleted","purged"],
            "properties":{"id":{"type":"string"},"session_id":{"type":"string"},
            "object":{"const":"chat.session.deleted"},"deleted":{"const":true},"purged":{"type":"boolean"}}}
            """),
        RouteSchema(
            "Erasure",
            """
            {"type":"object","additionalProperties":false,"required":["object","deleted","sessions"],
            "properties":{"object":{"const":"chat.erasure"},"deleted":{"const":true},
            "sessions":{"type":"integer","minimum":0}}}
            """),
        message("Message"), list("MessageList", of: "Message"),
        RouteSchema(
            "StoredMessages",
            """
            {"type":"object","additionalProperties":false,"required":["object","data"],"properties":{
            "object":{"const":"list"},"data":{"type":"array","items":{"$ref":"#/components/schemas/Message"}}}}
            """),
        RouteSchema(
            "StoredMessageOrMessages",
            """
            {"oneOf":[{"$ref":"#/components/schemas/Message"},{"$ref":"#/components/schemas/StoredMessages"}]}
            """),
        RouteSchema(
            "Feedback",
            """
            {"type":"object","additionalProperties":false,
            "required":["object","session_id","message_id","thumb","score","comment","created_at","updated_at"],
            "properties":{"object":{"const":"chat.feedback"},"session_id":{"type":"string"},
            "message_id":{"type":["integer","null"]},"thumb":{"enum":["up","down",null]},
            "score":{"type":["number","null"]},"comment":{"type":["string","null"]},
            "created_at":{"type":"integer"},"updated_at":{"type":"integer"}}}
            """),
        list("FeedbackList", of: "Feedback"),
        RouteSchema(
            "FeedbackStatistics",
            """
            {"type":"object","additionalProperties":false,
            "required":["object","count","thumbs_up","thumbs_down","scores","average_score","comments"],
            "properties":{"object":{"const":"chat.feedback.stats"},"count":{"type":"integer"},
            "thumbs_up":{"type":"integer"},"thumbs_down":{"type":"integer"},"scores":{"type":"integer"},
            "average_score":{"type":["number","null"]},"comments":{"type":"integer"}}}
            """),
        RouteSchema(
            "SessionStatistics",
            """
            {"type":"object","additionalProperties":false,"required":["object","sessions","group_sessions",
            "deleted_sessions","messages","turns","prompt_tokens","completion_tokens","last_message_at","channels",
            "feedback"],"properties":{"object":{"const":"chat.stats"},"sessions":{"type":"integer"},
            "group_sessions":{"type":"integer"},"deleted_sessions":{"type":"integer"},"messages":{"type":"integer"},
            "turns":{"type":"integer"},"prompt_tokens":{"type":"integer"},"completion_tokens":{"type":"integer"},
            "last_message_at":{"type":["integer","null"]},"channels":{"type":"array","items":{"type":"object",
            "additionalProperties":false,"required":["source_channel","sessions"],"properties":{
            "source_channel":{"type":["string","null"]},"sessions":{"type":"integer"}}}},
            "feedback":{"$ref":"#/components/schemas/FeedbackStatistics"}}}
            """),
        RouteSchema(
            "SearchResult",
            """
            {"type":"object","additionalProperties":false,"required":["object","data","has_more","next_cursor"],
            "properties":{"object":{"const":"chat.search"},"data":{"type":"array","items":
            {"$ref":"#/components/schemas/SearchHit"}},"has_more":{"type":"boolean"},
            "next_cursor":{"type":["string","null"]}}}
            """),
        RouteSchema(
            "SearchHit",
            """
            {"type":"object","additionalProperties":false,
            "required":["object","session_id","title","message_id","role","snippet","created_at"],"properties":{
            "object":{"const":"chat.search.hit"},"session_id":{"type":"string"},"title":{"type":"string"},
            "message_id":{"type":["integer","null"]},"role":{"type":["string","null"]},"snippet":{"type":"string"},
            "created_at":{"type":"integer"}}}
            """),
        RouteSchema(
            "Export",
            """
            {"type":"object","additionalProperties":false,"required":["object","version","sessions"],"properties":{
            "object":{"const":"chat.export"},"version":{"const":1},"sessions":{"type":"array","items":
            {"$ref":"#/components/schemas/ExportedSession"}}}}
            """),
        RouteSchema(
            "ExportedSession",
            """
            {"type":"object","additionalProperties":false,"required":[\(sessionRequired),"system","messages"],
            "properties":{\(sessionProperties),"system":{"type":"array","items":
            {"$ref":"#/components/schemas/JSONObject"}},"feedback":{"$ref":"#/components/schemas/Feedback"},
            "messages":{"type":"array","items":{"$ref":"#/components/schemas/ExportedMessage"}}}}
            """),
        message("ExportedMessage", more: ##","feedback":{"$ref":"#/components/schemas/Feedback"}"##),
        RouteSchema(
            "Import",
            """
            {"type":"object","additionalProperties":false,
            "required":["object","session_ids","sessions","messages","data"],
            "properties":{"object":{"const":"chat.import"},"session_ids":{"type":"array","items":{"type":"string"}},
            "sessions":{"type":"integer"},"messages":{"type":"integer"},"data":{"type":"array","items":
            {"$ref":"#/components/schemas/ImportedSession"}}}}
            """),
        RouteSchema(
            "ImportedSession",
            """
            {"description":"What became of a session of the file; a name that another session of yours has is null.",
            "type":"object","additionalProperties":false,"required":[\(importedNames),"from"],"properties":{
            "session_id":{"type":"string"},"external_id":{"type":["string","null"]},
            "external_conv_id":{"type":["string","null"]},"from":{"type":"object","additionalProperties":false,
            "required":[\(importedNames)],"properties":{"session_id":{"type":["string","null"]},
            "external_id":{"type":["string","null"]},"external_conv_id":{"type":["string","null"]}}}}}
            """),
    ]
    private static let importedNames = #""session_id","external_id","external_conv_id""#

    private static func message(_ name: String, more: String = "") -> RouteSchema {
        RouteSchema(
            name,
            """
            {"type":"object","additionalProperties":false,"required":["id","sequence","object","session_id","turn_id",
            "role","content","message","chapter","citations","tokens","model","status","metadata","created_at"],
            "properties":{"id":{"type":"integer","minimum":1},"sequence":{"type":"integer","minimum":1},
            "object":{"const":"chat.session.message"},"session_id":{"type":"string"},
            "turn_id":{"type":"string","format":"uuid"},"role":{"type":"string"},
            "content":{"$ref":"#/components/schemas/Content"},"message":{"$ref":"#/components/schemas/JSONObject"},
            "chapter":{"type":["string","null"]},"citations":{"$ref":"#/components/schemas/Citations"},
            "tokens":{"type":["integer","null"]},"model":{"type":["string","null"]},
            "status":{"enum":["complete","incomplete","cancelled","upstream_error","imported"]},
            "metadata":{"$ref":"#/components/schemas/Metadata"},"created_at":{"type":"integer"}\(more)}}
            """)
    }
}
