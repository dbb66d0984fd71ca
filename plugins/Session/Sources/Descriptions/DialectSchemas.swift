import TurnpikeKit

/// The schemas of the dialects' answers.
enum DialectSchemas {
    private static let uuid =
        #"{"type":"string","format":"uuid","pattern":"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}"#
    private static let time =
        #"{"type":"string","format":"date-time","pattern":"^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}Z$"}"#

    private static func array(_ name: String, of element: String) -> RouteSchema {
        RouteSchema(name, "{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/\(element)\"}}")
    }

    static let all = [
        RouteSchema(
            "ChatSession",
            """
            {"type":"object","additionalProperties":false,
            "required":["id","title","provider","model_name","message_count","created_at","updated_at"],
            "properties":{"id":\(uuid),"title":{"type":"string"},"provider":{"type":["string","null"]},
            "model_name":{"type":["string","null"]},"message_count":{"type":"integer"},"created_at":\(time),
            "updated_at":\(time)}}
            """),
        array("ChatSessions", of: "ChatSession"),
        RouteSchema(
            "ChatSessionMessage",
            """
            {"type":"object","additionalProperties":false,
            "required":["id","session_id","role","content","created_at"],"properties":{"id":{"type":"integer"},
            "session_id":\(uuid),"role":{"type":"string"},"content":{"$ref":"#/components/schemas/Content"},
            "created_at":\(time)}}
            """),
        array("ChatSessionMessages", of: "ChatSessionMessage"),
        RouteSchema(
            "NamedSession",
            """
            {"type":"object","additionalProperties":false,"required":["id","name","created_at","last_updated_at",
            "llm_model_name","rag_document_ids","metadata_tags"],"properties":{"id":\(uuid),"name":{"type":"string"},
            "created_at":\(time),"last_updated_at":\(time),"llm_model_name":{"type":["string","null"]},
            "rag_document_ids":{"type":"array","items":{"type":"string"}},
            "metadata_tags":{"type":"array","items":{"type":"string"}}}}
            """),
        array("NamedSessions", of: "NamedSession"),
        RouteSchema(
            "NamedSessionMessage",
            """
            {"type":"object","additionalProperties":false,
            "required":["id","session_id","timestamp","role","content","metadata"],"properties":{"id":\(uuid),
            "session_id":\(uuid),"timestamp":\(time),"role":{"type":"string"},
            "content":{"$ref":"#/components/schemas/Content"},"metadata":{"$ref":"#/components/schemas/Metadata"}}}
            """),
        array("NamedSessionMessages", of: "NamedSessionMessage"),
        RouteSchema(
            "History",
            """
            {"type":"object","additionalProperties":false,"required":["session_id","chapter","messages","total"],
            "properties":{"session_id":{"type":"string"},"chapter":{"type":["string","null"]},
            "messages":{"type":"array","items":{"type":"object","additionalProperties":false,
            "required":["id","role","content","citations","created_at"],"properties":{"id":{"type":"integer"},
            "role":{"type":"string"},"content":{"$ref":"#/components/schemas/Content"},
            "citations":{"$ref":"#/components/schemas/Citations"},"created_at":\(time)}}},
            "total":{"type":"integer"}}}
            """),
    ]
}
