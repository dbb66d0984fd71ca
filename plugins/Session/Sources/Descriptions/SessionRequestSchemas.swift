import TurnpikeKit

/// The schemas of what clients send. They are closed, as the answers are: they name everything that is read.
enum SessionRequestSchemas {
    private static let ignored = #""description":"What is not named here is ignored: do not send it.""#

    private static func text(_ limit: Int) -> String { "{\"type\":[\"string\",\"null\"],\"maxLength\":\(limit)}" }
    private static let texts =
        #"{"type":["array","null"],"maxItems":1000,"items":{"type":"string","maxLength":255}}"#
    private static let ttl = #"{"type":["integer","null"],"minimum":1,"maximum":3155760000}"#
    private static let flag = #"{"type":["boolean","null"]}"#

    /// A session's, under every name that a dialect gives them.
    private static let fields = """
        "title":\(text(200)),"session_name":\(text(200)),"name":\(text(200)),"provider":\(text(128)),
        "model":\(text(255)),"model_name":\(text(255)),"llm_model_name":\(text(255)),
        "max_history_messages":{"type":["integer","null"],"minimum":0,"maximum":1000000},
        "history_mode":{"enum":["auto","append","replace","off",null]},"truncation":{"enum":["rolling","stable",null]},
        "system_prompt":{"type":["string","null"]},"metadata":{"anyOf":[{"$ref":"#/components/schemas/Metadata"},
        {"type":"null"}]},"metadata_tags":\(texts),"tags":\(texts),"rag_document_ids":\(texts),
        "source_channel":\(text(64)),"ttl":\(ttl),"ttl_seconds":\(ttl),"agent_id":\(text(128)),"is_group":\(flag),
        "group_name":\(text(255)),"participant_id":\(text(255)),"peer_agent_id":\(text(128))
        """

    static let all = [
        RouteSchema(
            "SessionFields",
            """
            {\(ignored),"type":"object","additionalProperties":false,"properties":{\(fields),"id":\(text(200)),
            "session_id":\(text(200)),"external_conv_id":\(text(255))}}
            """),
        RouteSchema(
            "SessionChanges",
            """
            {"description":"What is named is changed, null clears it. A session keeps its ids: an id or session_id that is sent must be its own.",
            "type":"object","additionalProperties":false,"properties":{\(fields),"external_conv_id":\(text(255))}}
            """),
        RouteSchema(
            "Metadata",
            """
            {"description":"The application's own object, up to 1 MB: any names, any JSON. It comes back as it came.",
            "type":"object","additionalProperties":{"$ref":"#/components/schemas/JSONValue"}}
            """),
        RouteSchema(
            "NewMessage",
            """
            {"description":"A message as the chat API has it; what it says beside these fields is kept with it.",
            "type":"object","required":["role"],"properties":{
            "role":{"enum":["system","developer","user","assistant","tool","function"]},
            "content":{"$ref":"#/components/schemas/Content"},"name":{"type":"string"},"refusal":\(text(1_000_000)),
            "tool_call_id":{"type":"string"},
            "tool_calls":{"type":"array","items":{"$ref":"#/components/schemas/JSONObject"}},
            "chapter":{"type":["string","null"],"minLength":1,"maxLength":200},
            "citations":{"$ref":"#/components/schemas/Citations"},"metadata":{"$ref":"#/components/schemas/Metadata"},
            "tokens":{"type":["integer","null"],"minimum":0,"maximum":2147483647},"model":\(text(255))},
            "additionalProperties":{"$ref":"#/components/schemas/JSONValue"}}
            """),
        RouteSchema(
            "NewMessages",
            """
            {\(ignored),"type":"object","additionalProperties":false,"required":["messages"],"properties":{
            "messages":{"type":"array","minItems":1,"maxItems":1000,
            "items":{"$ref":"#/components/schemas/NewMessage"}}}}
            """),
        RouteSchema(
            "MessageOrMessages",
            """
            {"anyOf":[{"$ref":"#/components/schemas/NewMessage"},{"$ref":"#/components/schemas/NewMessages"}]}
            """),
        RouteSchema(
            "FeedbackFields",
            """
            {\(ignored),"type":"object","additionalProperties":false,"anyOf":[{"required":["thumb"]},
            {"required":["score"]},{"required":["comment"]}],"properties":{"thumb":{"enum":["up","down",null]},
            "score":{"type":["number","null"],"minimum":-1000000,"maximum":1000000},"comment":\(text(2_500))}}
            """),
        RouteSchema(
            "SearchFields",
            """
            {\(ignored),"type":"object","additionalProperties":false,"anyOf":[{"required":["query"]},
            {"required":["q"]}],"properties":{"query":{"type":"string","minLength":1,"maxLength":250},
            "q":{"type":"string","minLength":1,"maxLength":250},
            "limit":{"type":["integer","null"],"minimum":1,"maximum":100},"cursor":{"type":["string","null"]}}}
            """),
        RouteSchema(
            "ImportFields",
            """
            {\(ignored),"type":"object","additionalProperties":false,"required":["sessions"],"properties":{
            "object":{"const":"chat.export"},"version":{"const":1},"sessions":{"type":"array","items":{"anyOf":[
            {"$ref":"#/components/schemas/ExportedSession"},{"$ref":"#/components/schemas/NewSession"}]}}}}
            """),
        RouteSchema(
            "NewSession",
            """
            {\(ignored),"type":"object","additionalProperties":false,"properties":{\(fields),"id":\(text(200)),
            "session_id":\(text(200)),"external_id":\(text(200)),"external_conv_id":\(text(255)),
            "system":{"type":"array","items":{"$ref":"#/components/schemas/JSONObject"}},
            "feedback":{"$ref":"#/components/schemas/FeedbackFields"},
            "messages":{"type":"array","items":{"$ref":"#/components/schemas/NewMessage"}}}}
            """),
        RouteSchema(
            "Content",
            """
            {"description":"As it was sent: text, parts, or nothing.","oneOf":[{"type":"string"},{"type":"null"},
            {"type":"array","items":{"$ref":"#/components/schemas/JSONValue"}}]}
            """),
        RouteSchema(
            "Citations",
            """
            {"type":"array","items":{"$ref":"#/components/schemas/JSONValue"}}
            """),
    ]
}
