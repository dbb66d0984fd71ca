public import Persistence

/// What a user thinks of a message, or of a session as a whole.
public struct Feedback: Sendable, Equatable {
    public enum Thumb: Int64, Sendable, Equatable {
        case down = -1
        case up = 1
    }

    /// The message; nil: the session as a whole.
    public var seq: Int64?
    public var thumb: Thumb?
    /// Hundredths, so that sums are exact.
    public var scoreHundredths: Int?
    /// Up to 10,000 bytes.
    public var comment: String?
    public var createdAt: Timestamp
    public var updatedAt: Timestamp

    public init(seq: Int64?, thumb: Thumb?, scoreHundredths: Int?, comment: String?, at time: Timestamp) {
        self.seq = seq
        self.thumb = thumb
        self.scoreHundredths = scoreHundredths
        self.comment = comment
        createdAt = time
        updatedAt = time
    }

    func validate() throws(ConversationError) {
        guard let comment, comment.utf8.count > 10_000 else { return }
        throw .invalid("the comment has more than 10000 bytes")
    }
}

/// What a user's feedback adds up to.
public struct FeedbackStatistics: Sendable, Equatable {
    public var count = 0
    public var thumbsUp = 0
    public var thumbsDown = 0
    public var scores = 0
    /// The sum of all scores, in hundredths.
    public var scoreHundredths = 0
    public var comments = 0

    public init() {}
}

/// What a user has in sessions.
public struct SessionStatistics: Sendable {
    public var sessions = 0
    public var groupSessions = 0
    /// Deleted and not purged yet.
    public var deletedSessions = 0
    public var messages = 0
    public var turns = 0
    public var promptTokens = 0
    public var completionTokens = 0
    public var lastMessageAt: Timestamp?
    /// Active sessions by the channel they came from; nil: not known.
    public var channels: [(channel: String?, sessions: Int)] = []
    public var feedback = FeedbackStatistics()

    public init() {}

}

/// How much was erased.
public struct Erasure: Sendable, Equatable {
    public var sessions = 0
}
