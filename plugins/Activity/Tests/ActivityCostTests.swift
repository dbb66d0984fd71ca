import Glibc
import OpenAIWire
import Testing
import TurnpikeKit

@testable import ActivityPlugin

/// Prints costs; for a release build: `TURNPIKE_MEASURE=1 swift test -c release -Xswiftc -enable-testing --filter Cost`.
@Suite(.enabled(if: getenv("TURNPIKE_MEASURE") != nil), .serialized) struct ActivityCostTests {
    @Test func aRowCostsTheExchangeAFewMicroseconds() async throws {
        let bench = try await ActivityBench()
        let rounds = 20_000
        for round in 0..<4 {
            let exchanges = (0..<rounds).map { _ in
                let exchange = bench.exchange(as: bench.alice)
                exchange[EndpointKey.self] = .chatCompletions
                exchange.note { facts in
                    (facts.requestedModel, facts.provider, facts.model) = ("fast", "openai", "gpt-4o-mini-2024-07-18")
                    facts.usage = Usage(prompt: 11, completion: 7)
                }
                return exchange
            }
            let outcome = Outcome(ending: .completed, status: 200, requestBytes: 1_024, responseBytes: 1_024)
            let start = GatewayClock.system.monotonicNanoseconds()
            for exchange in exchanges {
                exchange.onFinish { [recorder = bench.plugin.recorder] outcome in
                    recorder.record(ActivityRow(exchange, outcome))
                }
                exchange.finish(outcome)
            }
            let each = (GatewayClock.system.monotonicNanoseconds() - start) / UInt64(rounds)
            print("activity: \(each) ns per exchange")
            // The first round starts the thread and grows the queue.
            #expect(each < 3_000 || round == 0)
            let written = GatewayClock.system.monotonicNanoseconds()
            while bench.plugin.recorder.pending > 0 { await Task.yield() }
            print(
                "activity: \((GatewayClock.system.monotonicNanoseconds() - written) / UInt64(rounds)) ns per row to write"
            )
        }
        #expect(bench.plugin.recorder.lost == 0)
    }
}
