import NIOCore
import OpenAIWire
import Persistence
import TurnpikeKit

/// How the log is shown: OpenAI's list envelope, times in microseconds where they are finer than seconds.
enum ActivityJSON {
    static func list(_ rows: [ActivityRow], hasMore: Bool) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("object", "list")
            json.array("data") { data in
                for row in rows { data.element { write(row, &$0) } }
            }
            json.member("has_more", hasMore)
            let last = hasMore ? rows.last : nil
            json.member("next_before", last.map { ActivityLog.Cursor(created: $0.created, id: $0.id).text })
        }
    }

    static func statistics(_ statistics: ActivityStatistics, since: Timestamp) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("object", "activity.stats")
            json.member("since", Int(since.microseconds / 1_000_000))
            json.member("requests", statistics.requests)
            for ending in ActivityEnding.allCases { json.member(ending.rawValue, statistics.endings[ending] ?? 0) }
            write(statistics.tokens, &json)
            json.member("cached_tokens", statistics.cachedTokens)
            json.member("reasoning_tokens", statistics.reasoningTokens)
            json.member("cost_micros", statistics.cost)
            json.array("models") { models in
                for model in statistics.models { models.element { write(model, &$0) } }
            }
        }
    }

    private static func write(_ row: ActivityRow, _ json: inout JSONWriter) {
        json.member("id", row.id.description(prefix: "req_"))
        json.member("object", "activity")
        json.member("created", Int(row.created.microseconds / 1_000_000))
        json.member("created_us", Int(row.created.microseconds))
        json.member("key_id", row.keyID?.description(prefix: "key_"))
        json.member("session_id", row.facts.sessionID?.description(prefix: "sess_"))
        json.member("method", row.method)
        json.member("path", row.path)
        json.member("endpoint", row.endpoint)
        writeAnswer(row, &json)
        writeUsage(row.facts.usage, &json)
        write("cost_micros", row.cost, &json)
        json.member("request_bytes", row.requestBytes)
        json.member("response_bytes", row.responseBytes)
        write("first_byte_us", row.firstByte, &json)
        json.member("total_us", row.total)
        json.array("flags") { flags in for flag in row.flags { flags.element(flag) } }
        json.member("capture_status", row.facts.captureStatus)
        json.member("history", row.facts.history)
    }

    private static func writeAnswer(_ row: ActivityRow, _ json: inout JSONWriter) {
        json.member("requested_model", row.facts.requestedModel)
        json.member("provider", row.facts.provider)
        json.member("model", row.facts.model)
        json.member("status", row.status)
        write("upstream_status", row.facts.upstreamStatus, &json)
        json.member("ending", row.ending.rawValue)
        json.member("error_code", row.errorCode)
        json.member("streamed", row.facts.isStreamed)
    }

    private static func writeUsage(_ usage: Usage?, _ json: inout JSONWriter) {
        guard let usage else { return json.null("usage") }
        json.object("usage") { json in
            json.member("prompt_tokens", usage.prompt)
            json.member("completion_tokens", usage.completion)
            json.member("total_tokens", usage.total)
            json.member("cached_tokens", usage.cachedPrompt)
            json.member("reasoning_tokens", usage.reasoning)
        }
    }

    private static func write(_ model: ActivityStatistics.Model, _ json: inout JSONWriter) {
        json.member("provider", model.provider)
        json.member("model", model.name)
        json.member("requests", model.requests)
        write(model.tokens, &json)
        json.member("cost_micros", model.cost)
    }

    private static func write(_ tokens: ActivityStatistics.Tokens, _ json: inout JSONWriter) {
        json.member("prompt_tokens", tokens.prompt)
        json.member("completion_tokens", tokens.completion)
        json.member("total_tokens", tokens.total)
    }

    private static func write(_ key: String, _ number: Int?, _ json: inout JSONWriter) {
        if let number { json.member(key, number) } else { json.null(key) }
    }
}
