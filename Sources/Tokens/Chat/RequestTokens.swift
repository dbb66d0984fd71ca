/// What the parts of a request for a chat completion count.
public struct RequestTokens: Sendable, Hashable {
    /// The leading system and developer messages, together.
    public var system = TokenCount.zero
    /// Every message after them, in order.
    public var messages: [TokenCount] = []
    /// The definitions of tools and functions.
    public var tools = TokenCount.zero
    /// The schema of a structured answer.
    public var responseFormat = TokenCount.zero
    /// What begins the answer, once for each request.
    public var priming = TokenCount.zero

    public init() {}

    /// All of it.
    public var total: TokenCount {
        messages.reduce(system + tools + responseFormat + priming, +)
    }
}
