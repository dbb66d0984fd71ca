public import OpenAIWire

/// What a provider charges for tokens. All amounts are integers, so sums do not depend on their order.
public struct TokenPrices: Sendable, Hashable {
    /// Millionths of a micro-dollar for one token: 1,000,000 is one dollar for a million tokens.
    public typealias Rate = Int

    /// For a token of the request.
    public var input: Rate
    /// For a token of the answer, reasoning included.
    public var output: Rate
    /// For a token of the request that the provider had cached; nil where it gives no discount.
    public var cachedInput: Rate?

    public init(input: Rate, output: Rate, cachedInput: Rate? = nil) {
        self.input = input
        self.output = output
        self.cachedInput = cachedInput
    }

    /// The price of an exchange in micro-dollars, rounded to the nearest.
    public func cost(of usage: Usage) -> Int {
        let cached = min(usage.cachedPrompt, usage.prompt)
        let amounts = [
            Self.amount(usage.prompt - cached, input), Self.amount(cached, cachedInput ?? input),
            Self.amount(usage.completion, output),
        ]
        let sum = amounts.reduce(Self.half) { sum, amount in
            let (result, overflow) = sum.addingReportingOverflow(amount)
            return overflow ? Int.max : result
        }
        return sum / Self.ratesPerMicroDollar
    }

    private static let ratesPerMicroDollar = 1_000_000
    private static let half = 500_000

    /// Counts come from upstreams: what does not fit is as much as fits.
    private static func amount(_ tokens: Int, _ rate: Rate) -> Int {
        let (result, overflow) = tokens.multipliedReportingOverflow(by: rate)
        return overflow ? Int.max : result
    }
}
