import TurnpikeKit

/// What the API document says about the activity log.
enum ActivityDescriptions {
    static let list = RouteDescription(
        "listActivity", "Your exchanges, newest first.",
        parameters: [
            RouteParameter("limit", #"{"type":"integer","minimum":1,"maximum":200}"#, "Most rows (default 50)."),
            RouteParameter("before", #"{"type":"string"}"#, "The next_before of an earlier page."),
        ],
        answers: [RouteAnswer(200, "ActivityList", "A page of rows.")])

    static let statistics = RouteDescription(
        "activityStatistics", "Sums over your exchanges.",
        parameters: [
            RouteParameter("since", #"{"type":"integer"}"#, "In Unix seconds, at most 92 days ago (default: a day).")
        ],
        answers: [RouteAnswer(200, "ActivityStatistics", "The sums.")])

    static let schemas = [
        RouteSchema(
            "ActivityList",
            """
            {"type":"object","additionalProperties":false,"required":["object","data","has_more","next_before"],
            "properties":{"object":{"const":"list"},"data":{"type":"array","items":
            {"$ref":"#/components/schemas/Activity"}},"has_more":{"type":"boolean"},
            "next_before":{"type":["string","null"]}}}
            """),
        RouteSchema(
            "Activity",
            """
            {"type":"object","additionalProperties":false,"required":["id","object","created","created_us","key_id",
            "session_id","method","path","endpoint","requested_model","provider","model","status","upstream_status",
            "ending","error_code","streamed","usage","cost_micros","request_bytes","response_bytes","first_byte_us","total_us",
            "flags","capture_status","history"],"properties":{"id":{"type":"string"},"object":{"const":"activity"},
            "created":{"type":"integer"},"created_us":{"type":"integer"},"key_id":{"type":["string","null"]},
            "session_id":{"type":["string","null"]},"method":{"type":"string"},"path":{"type":"string"},
            "endpoint":{"type":["string","null"]},"requested_model":{"type":["string","null"]},
            "provider":{"type":["string","null"]},"model":{"type":["string","null"]},"status":{"type":"integer"},
            "upstream_status":{"type":["integer","null"]},"ending":{"enum":[\(endings)]},
            "error_code":{"type":["string","null"]},"streamed":{"type":"boolean"},
            "usage":{"anyOf":[{"$ref":"#/components/schemas/ActivityUsage"},{"type":"null"}]},
            "cost_micros":{"type":["integer","null"]},"request_bytes":{"type":"integer"},"response_bytes":{"type":"integer"},
            "first_byte_us":{"type":["integer","null"]},"total_us":{"type":"integer"},
            "flags":{"type":"array","items":{"type":"string"}},"capture_status":{"type":["string","null"]},
            "history":{"type":["string","null"]}}}
            """),
        RouteSchema(
            "ActivityUsage",
            """
            {"type":"object","additionalProperties":false,
            "required":["prompt_tokens","completion_tokens","total_tokens","cached_tokens","reasoning_tokens"],
            "properties":{\(tokens),"cached_tokens":{"type":"integer"},"reasoning_tokens":{"type":"integer"}}}
            """),
        RouteSchema(
            "ActivityStatistics",
            """
            {"type":"object","additionalProperties":false,"required":["object","since","requests",\(endings),
            "prompt_tokens","completion_tokens","total_tokens","cached_tokens","reasoning_tokens","cost_micros",
            "models"],
            "properties":{"object":{"const":"activity.stats"},"since":{"type":"integer"},
            "requests":{"type":"integer"},\(counts),\(tokens),"cached_tokens":{"type":"integer"},
            "reasoning_tokens":{"type":"integer"},"cost_micros":{"type":"integer"},"models":{"type":"array","items":{"type":"object",
            "additionalProperties":false,
            "required":["provider","model","requests","prompt_tokens","completion_tokens","total_tokens","cost_micros"],
            "properties":{"provider":{"type":["string","null"]},"model":{"type":["string","null"]},
            "requests":{"type":"integer"},\(tokens),"cost_micros":{"type":"integer"}}}}}}
            """),
    ]

    private static let endings = ActivityEnding.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ",")
    private static let counts = ActivityEnding.allCases.map { "\"\($0.rawValue)\":{\"type\":\"integer\"}" }
        .joined(separator: ",")
    private static let tokens =
        #""prompt_tokens":{"type":"integer"},"completion_tokens":{"type":"integer"},"total_tokens":{"type":"integer"}"#
}
