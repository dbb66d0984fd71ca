import Conversations
import NIOCore
import OpenAIWire
import TurnpikeKit

/// Models that take every byte for a token, so that tests can count. A name with a number at its end has a context of so
/// many tokens (`small-500`), every other one of a billion; `unknown` is known to nobody.
struct ByteModels: TargetModels {
    func model(of target: RouteTarget) -> TargetModel {
        let name = target.model ?? ""
        let window = name.split(separator: "-").last.flatMap { Int($0) } ?? 1_000_000_000
        return TargetModel(contextWindow: name == "unknown" ? nil : window, maxOutput: 100, meter: Meter())
    }

    private struct Meter: TokenMeter {
        let encoding: Int? = 1
        func tokens(ofMessage message: ByteBuffer) -> Int { message.readableBytes }
        func tokens(besideMessagesOf request: ChatRequest) -> Int {
            request.object.nonNull("tools")?.bytes.readableBytes ?? 0
        }
    }
}
