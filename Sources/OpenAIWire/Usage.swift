import NIOCore

/// The tokens that an upstream reports for one exchange.
public struct Usage: Sendable, Hashable {
    /// Tokens of the request, those from the cache included.
    public var prompt: Int
    /// Tokens of the answer, those spent on reasoning included.
    public var completion: Int
    /// Prompt and completion together.
    public var total: Int
    /// Tokens of the prompt that the provider had cached.
    public var cachedPrompt: Int
    /// Tokens of the completion that were spent on reasoning.
    public var reasoning: Int

    /// Counts that are known otherwise; without a total it is the sum.
    public init(prompt: Int, completion: Int, total: Int? = nil, cachedPrompt: Int = 0, reasoning: Int = 0) {
        self.prompt = prompt
        self.completion = completion
        self.total = total ?? (prompt &+ completion)
        self.cachedPrompt = cachedPrompt
        self.reasoning = reasoning
    }

    /// More tokens than any exchange has. Counts are added up over the exchanges of a session and of a user, so an
    /// upstream that reports more must not make the sums overflow.
    private static let maximumCount = Int(Int32.max)

    /// Reads a `usage` object. What is missing, null, negative or no number counts as 0, a missing total as the sum,
    /// what is absurdly large as 2,147,483,647; nil where `value` is no object.
    public init?(_ value: JSONValue) {
        guard value.kind == .object else { return nil }
        let read = value.bytes.withUnsafeReadableBytes { Usage(scanning: $0) }
        guard let read else { return nil }
        self = read
    }

    static func bounded(_ count: Int) -> Int { min(max(0, count), maximumCount) }
}
