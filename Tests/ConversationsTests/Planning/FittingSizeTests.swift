import NIOCore
import OpenAIWire
import Persistence
import Testing
import TurnpikeKit

@testable import Conversations

/// How much work fitting is, by which it is moved away from the event loops.
@Suite struct FittingSizeTests {
    private struct Meter: TokenMeter {
        let encoding: Int?
        func tokens(ofMessage message: ByteBuffer) -> Int { 1 }
        func tokens(besideMessagesOf request: ChatRequest) -> Int { 1 }
    }

    /// A model's name is the number of its encoding.
    private struct Models: TargetModels {
        func model(of target: RouteTarget) -> TargetModel {
            TargetModel(contextWindow: nil, maxOutput: nil, meter: Meter(encoding: target.model.flatMap { Int($0) }))
        }
    }

    private static let call =
        #"{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f"}}]}"#

    private func targets(_ models: String...) -> [RouteTarget] {
        models.map { RouteTarget(provider: Provider(name: "p", baseURL: "http://p"), model: $0) }
    }

    /// A plan with stored messages of 1,000 bytes, whose tokens were counted in these encodings.
    ///
    /// - Parameter callsTool: Whether the first of them is a call, which nobody answers.
    private func history(_ encodings: [Int?], callsTool: Bool = false) throws -> PlannedHistory {
        let request = try ChatRequest(
            scanning: ByteBuffer(string: #"{"model":"1","messages":[{"role":"user","content":"x"}]}"#))
        let turn = try IncomingTurn(request)
        var snapshot = HistorySnapshot(plan: HistoryPlan(newMessages: turn.messages, base: 1))
        for (index, encoding) in encodings.enumerated() {
            let isCall = callsTool && index == 0
            var body = ByteBuffer(string: isCall ? Self.call : "")
            body.writeRepeatingByte(0x20, count: 1_000 - body.readableBytes)
            var message = StoredMessage(
                outline: MessageOutline(
                    seq: Int64(index), turnID: .generate(), role: isCall ? .assistant : .user, digest: turn.digest,
                    digestVersion: 1, tokens: 9),
                body: body, createdAt: Timestamp(microseconds: 1))
            message.tokenEncoding = encoding
            snapshot.stored.append(message)
        }
        if callsTool { snapshot.show(ToolRounds(snapshot.stored, before: turn.messages, replaysPartial: true)) }
        return PlannedHistory(
            request, turn, snapshot, in: SessionKey(owner: .generate(), session: .generate()), rules: HistoryRules(),
            models: Models())
    }

    @Test func whatWasCountedAsTheTargetCountsIsNotLookedAt() throws {
        let history = try history([1, 1, 2, nil])
        let request = history.request.bytes.readableBytes
        #expect(history.size(among: targets("1")) == request + 2_000)
        #expect(history.size(among: targets("2")) == request + 3_000)
        #expect(history.size(among: targets("an estimate")) == request + 4_000)
    }

    @Test func allIsLookedAtWhereReasoningIsLeftOut() throws {
        let history = try history([1, 1, 2, nil])
        let target = RouteTarget(provider: Provider(name: "p", baseURL: "http://p", reasoning: .drop), model: "1")
        #expect(history.size(among: [target]) == history.request.bytes.readableBytes + 4_000)
    }

    /// Which results there are decides what is shown of each call, and that is counted anew.
    @Test func allIsLookedAtWhereACallOfAToolIsAmongThem() throws {
        let history = try history([1, 1, 2, nil], callsTool: true)
        #expect(history.size(among: targets("1")) == history.request.bytes.readableBytes + 4_000)
    }

    @Test func eachWayOfCountingLooksOnce() throws {
        let history = try history([1, 1, 2, nil])
        let request = history.request.bytes.readableBytes
        #expect(history.size(among: targets("1", "1", "2")) == 2 * request + 5_000)
    }
}
