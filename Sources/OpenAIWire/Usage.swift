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
        guard let object = try? value.object() else { return nil }
        func count(_ object: JSONObject?, _ key: String) -> Int { Self.bounded(object?[key]?.int ?? 0) }
        self.init(
            prompt: count(object, "prompt_tokens"), completion: count(object, "completion_tokens"),
            cachedPrompt: count(try? object["prompt_tokens_details"]?.object(), "cached_tokens"),
            reasoning: count(try? object["completion_tokens_details"]?.object(), "reasoning_tokens"))
        total = object["total_tokens"]?.int.map(Self.bounded) ?? total
    }

    private static func bounded(_ count: Int) -> Int { min(max(0, count), maximumCount) }
}
