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

    /// How many messages are stored for a user, superseded ones too. It reads the row of every session of the user.
    public func storedMessages(of owner: UniqueID) throws -> Int64 {
        var sum: Int64 = 0
        try connection.forEach(ConversationSQL.storedMessages(of: owner)) { row in
            sum += try row.value(0, as: Int64.self)
            return .next
        }
        return sum
    }

    /// What a user has. It reads the row of every session of the user.
    public func statistics(of owner: UniqueID) throws -> SessionStatistics {
        var statistics = SessionStatistics()
        var channels: [String?: Int] = [:]
        try connection.forEach(ConversationSQL.statistics(of: owner)) { row in
            let expiry: Timestamp? = try row.optional(8)
            let isDeleted: Bool = try row.value(1)
            if isDeleted {
                statistics.deletedSessions += 1
            } else if expiry.map({ $0 > now }) ?? true {
                try statistics.add(row)
                channels[try row.optional(7), default: 0] += 1
            }
            return .next
        }
        statistics.channels = channels.map { ($0.key, $0.value) }
            .sorted { ($1.sessions, $0.channel ?? "") < ($0.sessions, $1.channel ?? "") }
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

extension SessionStatistics {
    /// Adds the row of an active session.
    fileprivate mutating func add(_ row: borrowing Row) throws {
        sessions += 1
        if try row.value(0, as: Bool.self) { groupSessions += 1 }
        messages += try row.value(2, as: Int.self)
        turns += try row.value(3, as: Int.self)
        promptTokens += try row.value(4, as: Int.self)
        completionTokens += try row.value(5, as: Int.self)
        let time: Timestamp = try row.value(6)
        lastMessageAt = max(lastMessageAt ?? time, time)
    }
}
