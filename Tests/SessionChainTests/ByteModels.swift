import Conversations
import NIOCore
import OpenAIWire
import TurnpikeKit

/// Models that take every byte for a token, so that tests can count. A name with a number at its end has a context of so
/// many tokens (`small-500`), every other one of a billion; `unknown` is known to nobody.
/// What a `vague` one counts has a margin of as much again.
struct ByteModels: TargetModels {
    func model(of target: RouteTarget) -> TargetModel {
        let name = target.model ?? ""
        let window = name.split(separator: "-").last.flatMap { Int($0) } ?? 1_000_000_000
        return TargetModel(
            contextWindow: name == "unknown" ? nil : window, maxOutput: 100,
            meter: name.hasPrefix("vague") ? VagueMeter() : Meter())
    }

    private struct Meter: TokenMeter {
        let encoding: Int? = 1
        func tokens(ofMessage message: ByteBuffer) -> Int { message.readableBytes }
        func tokens(besideMessagesOf request: ChatRequest) -> Int {
            request.object.nonNull("tools")?.bytes.readableBytes ?? 0
        }
    }

    private struct VagueMeter: TokenMeter {
        let encoding: Int? = nil
        private let exact = Meter()
        func tokens(ofMessage message: ByteBuffer) -> Int { 2 * exact.tokens(ofMessage: message) }
        func tokens(besideMessagesOf request: ChatRequest) -> Int { 2 * exact.tokens(besideMessagesOf: request) }
        func likelyTokens(ofMessage message: ByteBuffer) -> Int { exact.tokens(ofMessage: message) }
        func likelyTokens(besideMessagesOf request: ChatRequest) -> Int { exact.tokens(besideMessagesOf: request) }
    }
}
