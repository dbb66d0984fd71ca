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

    private func targets(_ models: String...) -> [RouteTarget] {
        models.map { RouteTarget(provider: Provider(name: "p", baseURL: "http://p"), model: $0) }
    }

    /// A plan with stored messages of 1,000 bytes, whose tokens were counted in these encodings.
    private func history(_ encodings: [Int?]) throws -> PlannedHistory {
        let request = try ChatRequest(
            scanning: ByteBuffer(string: #"{"model":"1","messages":[{"role":"user","content":"x"}]}"#))
        let turn = try IncomingTurn(request)
        var snapshot = HistorySnapshot(plan: HistoryPlan(newMessages: turn.messages, base: 1))
        for (index, encoding) in encodings.enumerated() {
            var message = StoredMessage(
                outline: MessageOutline(
                    seq: Int64(index), turnID: .generate(), role: .user, digest: turn.digest, digestVersion: 1,
                    tokens: 9),
                body: ByteBuffer(repeating: 0x20, count: 1_000), createdAt: Timestamp(microseconds: 1))
            message.tokenEncoding = encoding
            snapshot.stored.append(message)
        }
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

    @Test func eachWayOfCountingLooksOnce() throws {
        let history = try history([1, 1, 2, nil])
        let request = history.request.bytes.readableBytes
        #expect(history.size(among: targets("1", "1", "2")) == 2 * request + 5_000)
    }
}
