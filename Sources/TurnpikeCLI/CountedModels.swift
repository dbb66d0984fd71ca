import Conversations
import NIOCore
import OpenAIWire
import Tokens
import TurnpikeKit

/// What the history learns about models: contexts from the catalogue, by which the target was planned, and counts.
struct CountedModels: TargetModels {
    let calibration: TokenCalibration

    func model(of target: RouteTarget) -> TargetModel {
        let facts = target.facts
        let estimator = facts?.encoding == nil ? calibration.estimator(for: target.model ?? "") : TokenEstimator()
        return TargetModel(
            contextWindow: facts?.contextWindow, maxOutput: facts?.maxOutput,
            meter: Meter(counter: TokenCounter(facts, estimator: estimator), images: facts?.images ?? .standard))
    }

    /// Counts with the margins: a budget has to allow for them. What is likely has none.
    private struct Meter: TokenMeter {
        let counter: TokenCounter
        let images: ImageRule

        /// The encoding in the lowest bits, above them how images are counted: both decide what a message counts.
        var encoding: Int? {
            guard case .exact(let encoding) = counter.method else { return nil }
            let text = encoding == .cl100k ? 1 : 2
            switch images {
            case .tiles(let base, let tile): return text | (base << 20 | tile) << 3
            case .patches(let hundredths): return text | (1 << 44 | hundredths) << 3
            }
        }

        func tokens(ofMessage message: ByteBuffer) -> Int { counter.count(message: message).atMost }
        func tokens(besideMessagesOf request: ChatRequest) -> Int {
            counter.countWithoutMessages(request).total.atMost
        }
        func likelyTokens(ofMessage message: ByteBuffer) -> Int { counter.count(message: message).tokens }
        func likelyTokens(besideMessagesOf request: ChatRequest) -> Int {
            counter.countWithoutMessages(request).total.tokens
        }
    }
}
