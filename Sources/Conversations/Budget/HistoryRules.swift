/// How much of a session's history a request gets, and how it is cut.
package struct HistoryRules: Sendable, Equatable {
    /// What happens where the message limit is reached.
    package enum Truncation: String, Sendable, CaseIterable {
        /// Exactly the newest messages: the beginning moves with every turn.
        case rolling
        /// Never more than the limit, cut rarely and then down to the low watermark: the beginning stays the same for
        /// many turns, and with it the provider's prompt cache.
        case stable
    }

    /// The most stored messages that the model may see, those that the client repeats included.
    package var maxMessages = 20
    package var truncation = Truncation.rolling
    /// The low watermark: a cut goes down to this share of the limit that was exceeded.
    package var retentionRatio = 0.7
    /// Tokens that are kept free for the answer of a request that sets no limit of its own; less where the model cannot
    /// answer so much, or where it were more than a quarter of the context.
    package var reservedOutput = 1_024
    /// The context of a model that nobody knows.
    package var defaultContextWindow = 8_192
    /// Whether an answer that was cut off is shown to the model again, as the text that the user saw.
    package var replaysPartialAnswers = true

    package init() {}

    /// A limit's low watermark.
    func low(_ limit: Int) -> Int { Int(Double(max(0, limit)) * retentionRatio) }

    /// What a cut has to leave to be one for this limit: three fifths of what the watermark leaves of the watermark.
    func least(_ limit: Int) -> Int { low(low(limit)) * 3 / 5 }
}
