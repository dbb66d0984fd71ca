package import NIOCore
package import OpenAIWire
package import TurnpikeKit

/// Counts tokens as one model does.
package protocol TokenMeter: Sendable {
    /// Names the rule by which it counts, for all time: counts under the same number are stored and compared. `nil`
    /// for an estimate, which is made anew each time because it may get better.
    var encoding: Int? { get }

    /// The tokens of a message, what surrounds it included.
    ///
    /// - Parameter message: the JSON of one message.
    func tokens(ofMessage message: ByteBuffer) -> Int

    /// The tokens of everything in a request that is no message: tools, response format, the beginning of the answer.
    func tokens(besideMessagesOf request: ChatRequest) -> Int

    /// The same without what a count allows for where no rule is exact: by this a request is refused, which a margin
    /// must not be the reason for.
    func likelyTokens(ofMessage message: ByteBuffer) -> Int
    /// The same without margins.
    func likelyTokens(besideMessagesOf request: ChatRequest) -> Int
}

/// Counts that have no margins.
extension TokenMeter {
    package func likelyTokens(ofMessage message: ByteBuffer) -> Int { tokens(ofMessage: message) }
    package func likelyTokens(besideMessagesOf request: ChatRequest) -> Int { tokens(besideMessagesOf: request) }
}

/// What is known of the model that a request goes to.
package struct TargetModel: Sendable {
    /// Tokens that request and answer may have together; `nil` where nobody knows.
    package var contextWindow: Int?
    /// Tokens that an answer may have; `nil` where nobody knows.
    package var maxOutput: Int?
    package var meter: any TokenMeter

    package init(contextWindow: Int?, maxOutput: Int?, meter: any TokenMeter) {
        self.contextWindow = contextWindow
        self.maxOutput = maxOutput
        self.meter = meter
    }
}

/// What is known of models.
package protocol TargetModels: Sendable {
    /// The model of a target; it always knows how to count, if only by an estimate.
    func model(of target: RouteTarget) -> TargetModel
}

/// Where planning learns about models.
package enum TargetModelsKey: ResourceKey { package typealias Value = any TargetModels }

/// Knows no model: the answer of tests, and of exchanges that count nothing.
package struct NoModels: TargetModels {
    package init() {}
    package func model(of target: RouteTarget) -> TargetModel {
        TargetModel(contextWindow: nil, maxOutput: nil, meter: ByteMeter())
    }
}

/// Takes four bytes of JSON for a token.
package struct ByteMeter: TokenMeter {
    package let encoding: Int? = nil
    package init() {}
    package func tokens(ofMessage message: ByteBuffer) -> Int { message.readableBytes / 4 + 4 }
    package func tokens(besideMessagesOf request: ChatRequest) -> Int {
        3
            + ["tools", "response_format", "functions"]
            .reduce(0) { $0 + (request.object.nonNull($1)?.bytes.readableBytes ?? 0) / 4 }
    }
}
