/// A number of tokens, and how many more it may be where no rule is exact.
public struct TokenCount: Sendable, Hashable {
    /// By the best known rule.
    public var tokens: Int
    /// How many more it may be: 0 for text in an encoding that is known.
    public var margin: Int

    public init(_ tokens: Int, margin: Int = 0) {
        self.tokens = tokens
        self.margin = margin
    }

    public static let zero = TokenCount(0)

    /// What a budget has to allow for.
    public var atMost: Int { tokens + margin }

    public static func + (left: TokenCount, right: TokenCount) -> TokenCount {
        TokenCount(left.tokens + right.tokens, margin: left.margin + right.margin)
    }

    public static func += (left: inout TokenCount, right: TokenCount) { left = left + right }
}
