import Persistence

/// What users think.
extension ConversationSQL {
    private static let feedback = "seq, thumb, score_hundredths, comment, created_us, updated_us"

    static func setFeedback(_ feedback: Feedback, on key: SessionKey, _ dialect: Dialect) -> SQL {
        """
        INSERT INTO session_feedback (user_id, session_id, \(raw: Self.feedback)) VALUES (\(key.owner), \
        \(key.session), \(feedback.seq ?? 0), \(feedback.thumb?.rawValue), \(feedback.scoreHundredths), \
        \(feedback.comment), \(feedback.createdAt), \(feedback.updatedAt)) \
        \(raw: dialect.orUpdate("user_id, session_id, seq")) thumb = \(feedback.thumb?.rawValue), \
        score_hundredths = \(feedback.scoreHundredths), comment = \(feedback.comment), \
        updated_us = \(feedback.updatedAt)
        """
    }

    static func removeFeedback(_ key: SessionKey, seq: Int64) -> SQL {
        """
        DELETE FROM session_feedback WHERE user_id = \(key.owner) AND session_id = \(key.session) AND seq = \(seq)
        """
    }

    static func feedback(_ key: SessionKey, limit: Int, offset: Int) -> SQL {
        """
        SELECT \(raw: feedback) FROM session_feedback \
        WHERE user_id = \(key.owner) AND session_id = \(key.session) ORDER BY seq LIMIT \(limit) OFFSET \(offset)
        """
    }

    static func feedback(_ key: SessionKey, in seqs: ClosedRange<Int64>) -> SQL {
        """
        SELECT \(raw: feedback) FROM session_feedback WHERE user_id = \(key.owner) \
        AND session_id = \(key.session) AND seq >= \(seqs.lowerBound) AND seq <= \(seqs.upperBound)
        """
    }

    static func feedback(_ key: SessionKey, seq: Int64) -> SQL {
        """
        SELECT \(raw: feedback) FROM session_feedback \
        WHERE user_id = \(key.owner) AND session_id = \(key.session) AND seq = \(seq)
        """
    }

    static func feedback(_ row: borrowing Row) throws -> Feedback {
        let seq: Int64 = try row.value(0)
        let thumb: Int64? = try row.optional(1)
        var feedback = Feedback(
            seq: seq == 0 ? nil : seq, thumb: thumb.flatMap(Feedback.Thumb.init), scoreHundredths: try row.optional(2),
            comment: try row.optional(3), at: try row.value(4))
        feedback.updatedAt = try row.value(5)
        return feedback
    }

    static func feedbackTotal(_ key: SessionKey) -> SQL {
        "SELECT COUNT(*) FROM session_feedback WHERE user_id = \(key.owner) AND session_id = \(key.session)"
    }

    /// Of sessions that are there: what was said of a deleted one comes back with it.
    static func feedbackStatistics(of owner: UniqueID) -> SQL {
        """
        SELECT thumb, score_hundredths, CASE WHEN comment IS NULL THEN 0 ELSE 1 END FROM session_feedback \
        JOIN sessions ON sessions.user_id = session_feedback.user_id \
        AND sessions.session_id = session_feedback.session_id \
        WHERE session_feedback.user_id = \(owner) AND sessions.deleted_us IS NULL
        """
    }

    static func message(_ key: SessionKey, seq: Int64) -> SQL {
        """
        SELECT 1 FROM messages WHERE user_id = \(key.owner) AND session_id = \(key.session) AND seq = \(seq)
        """
    }
}
