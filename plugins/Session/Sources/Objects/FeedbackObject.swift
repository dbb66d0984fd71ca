import Conversations
import NIOCore
import OpenAIWire
import Persistence

/// What users think, and what they have, as JSON.
enum FeedbackObject {
    static func json(_ feedback: Feedback, of session: SessionKey) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("object", "chat.feedback")
            json.member("session_id", session.printedID)
            json.member("message_id", feedback.seq.map { Int($0) })
            json.member("thumb", feedback.thumb.map { $0 == .up ? "up" : "down" })
            score("score", feedback.scoreHundredths, &json)
            json.member("comment", feedback.comment)
            json.member("created_at", feedback.createdAt.seconds)
            json.member("updated_at", feedback.updatedAt.seconds)
        }
    }

    static func statistics(_ statistics: FeedbackStatistics) -> ByteBuffer {
        JSONWriter.object { write(statistics, &$0) }
    }

    static func statistics(_ statistics: SessionStatistics) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("object", "chat.stats")
            for (name, sum) in sums(statistics) { json.member(name, sum) }
            json.member("last_message_at", statistics.lastMessageAt)
            json.array("channels") { channels in
                for (channel, sessions) in statistics.channels {
                    channels.element { json in
                        json.member("source_channel", channel)
                        json.member("sessions", sessions)
                    }
                }
            }
            json.object("feedback") { write(statistics.feedback, &$0) }
        }
    }

    private static func sums(_ statistics: SessionStatistics) -> [(name: String, sum: Int)] {
        [
            ("sessions", statistics.sessions), ("group_sessions", statistics.groupSessions),
            ("deleted_sessions", statistics.deletedSessions), ("messages", statistics.messages),
            ("turns", statistics.turns), ("prompt_tokens", statistics.promptTokens),
            ("completion_tokens", statistics.completionTokens),
        ]
    }

    private static func write(_ statistics: FeedbackStatistics, _ json: inout JSONWriter) {
        json.member("object", "chat.feedback.stats")
        json.member("count", statistics.count)
        json.member("thumbs_up", statistics.thumbsUp)
        json.member("thumbs_down", statistics.thumbsDown)
        json.member("scores", statistics.scores)
        let average = statistics.scores == 0 ? nil : statistics.scoreHundredths / statistics.scores
        score("average_score", average, &json)
        json.member("comments", statistics.comments)
    }

    private static func score(_ key: String, _ hundredths: Int?, _ json: inout JSONWriter) {
        if let hundredths { json.member(key, Double(hundredths) / 100) } else { json.null(key) }
    }
}
