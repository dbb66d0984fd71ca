public import Persistence

/// Feedback and sums: what belongs to one user, found by the user.
extension ConversationReader {
    public func feedback(of key: SessionKey, limit: Int, offset: Int) throws -> Page<Feedback> {
        Page(
            elements: try connection.rows(
                ConversationSQL.feedback(key, limit: max(0, limit), offset: max(0, offset)), ConversationSQL.feedback),
            total: try connection.first(ConversationSQL.feedbackTotal(key)) { try $0.value(0) } ?? 0)
    }

    /// - Parameter seq: The message; nil: the session as a whole.
    public func feedback(of key: SessionKey, seq: Int64?) throws -> Feedback? {
        try connection.first(ConversationSQL.feedback(key, seq: seq ?? 0), ConversationSQL.feedback)
    }

    /// What was said of the messages with these seqs.
    public func feedback(of key: SessionKey, in seqs: ClosedRange<Int64>) throws -> [Feedback] {
        try connection.rows(ConversationSQL.feedback(key, in: seqs), ConversationSQL.feedback)
    }

    /// How many messages are stored for a user, superseded ones and those of deleted sessions too.
    public func storedMessages(of owner: UniqueID) throws -> Int64 {
        max(0, try SessionSums.of(owner, connection).stored)
    }

    /// How many sessions a user has, with groups, without deleted ones.
    public func activeSessions(of owner: UniqueID) throws -> Int {
        let total = ConversationSQL.total(of: owner, includesGroups: true)
        return max(0, try connection.first(total) { try $0.value(0) } ?? 0)
    }

    /// What a user has, as it is counted: what has expired is in it until it is deleted (`ConversationStore.expire`).
    public func statistics(of owner: UniqueID) throws -> SessionStatistics {
        var statistics = SessionStatistics()
        statistics.sessions = try activeSessions(of: owner)
        let own = ConversationSQL.total(of: owner, includesGroups: false)
        statistics.groupSessions = statistics.sessions - max(0, try connection.first(own) { try $0.value(0) } ?? 0)
        let sums = try SessionSums.of(owner, connection)
        statistics.deletedSessions = Int(max(0, sums.deleted))
        statistics.messages = Int(max(0, sums.messages))
        statistics.turns = Int(max(0, sums.turns))
        statistics.promptTokens = Int(max(0, sums.promptTokens))
        statistics.completionTokens = Int(max(0, sums.completionTokens))
        statistics.lastMessageAt = try sessions(of: owner, limit: 1).elements.first?.lastMessageAt
        statistics.channels = try ChannelTotals.of(owner, connection)
        statistics.feedback = try feedbackStatistics(of: owner)
        return statistics
    }

    public func feedbackStatistics(of owner: UniqueID) throws -> FeedbackStatistics {
        var statistics = FeedbackStatistics()
        try connection.forEach(ConversationSQL.feedbackStatistics(of: owner)) { row in
            statistics.count += 1
            let thumb: Int64? = try row.optional(0)
            if thumb == Feedback.Thumb.up.rawValue { statistics.thumbsUp += 1 }
            if thumb == Feedback.Thumb.down.rawValue { statistics.thumbsDown += 1 }
            if let score: Int = try row.optional(1) {
                statistics.scores += 1
                statistics.scoreHundredths += score
            }
            statistics.comments += try row.value(2, as: Int.self)
            return .next
        }
        return statistics
    }
}
