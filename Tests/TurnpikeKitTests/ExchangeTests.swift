import Logging
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import TurnpikeKit

@Suite struct ExchangeTests {
    private enum NumberKey: ExchangeKey { typealias Value = Int }
    private enum OtherNumberKey: ExchangeKey { typealias Value = Int }
    private let outcome = Outcome(ending: .completed, status: 200)

    @Test func keepsAValuePerKey() {
        let exchange = makeExchange()
        #expect(exchange[NumberKey.self] == nil)
        exchange[NumberKey.self] = 1
        exchange[OtherNumberKey.self] = 2
        exchange[NumberKey.self] = 3
        #expect(exchange[NumberKey.self] == 3)
        #expect(exchange[OtherNumberKey.self] == 2)
        exchange[NumberKey.self] = nil
        exchange[NumberKey.self] = nil
        #expect(exchange[NumberKey.self] == nil)
        #expect(exchange[OtherNumberKey.self] == 2)
    }

    @Test func aValueThatGoesMayUseTheExchange() {
        final class Goodbye: Sendable {
            let exchange: Exchange
            init(_ exchange: Exchange) { self.exchange = exchange }
            deinit { exchange[NumberKey.self] = 7 }
        }
        enum GoodbyeKey: ExchangeKey { typealias Value = Goodbye }
        let exchange = makeExchange()
        exchange[GoodbyeKey.self] = Goodbye(exchange)
        exchange[GoodbyeKey.self] = nil
        #expect(exchange[NumberKey.self] == 7)
    }

    @Test func finishersRunOnceTheLastAddedFirst() {
        let journal = Journal()
        let exchange = makeExchange()
        for name in ["first", "second", "third"] { exchange.onFinish { journal.note("\(name) \($0.status)") } }
        exchange.finish(outcome)
        exchange.finish(Outcome(ending: .clientLeft, status: 0))
        #expect(journal.entries == ["third 200", "second 200", "first 200"])
    }

    @Test func aFinisherThatComesTooLateRunsAtOnceWithTheOutcome() {
        let journal = Journal()
        let exchange = makeExchange()
        exchange.finish(outcome)
        exchange.onFinish { journal.note("late \($0.status)") }
        #expect(journal.entries == ["late 200"])
    }

    @Test func aFinisherMayRegisterAnother() {
        let journal = Journal()
        let exchange = makeExchange()
        exchange.onFinish { _ in exchange.onFinish { _ in journal.note("inner") } }
        exchange.finish(outcome)
        #expect(journal.entries == ["inner"])
    }

    @Test func finishersThatHoldTheExchangeDoNotKeepItAlive() {
        weak var kept: Exchange?
        do {
            let exchange = makeExchange()
            kept = exchange
            exchange.onFinish { _ in _ = exchange.id }
            exchange.finish(outcome)
        }
        #expect(kept == nil)
    }

    @Test func everyLogLineCarriesTheRequestID() {
        let journal = Journal()
        let exchange = makeExchange(logger: makeLogger(journal))
        exchange.logger.info("Something happened.")
        #expect(journal.entries == ["Something happened. request_id=\(exchange.requestID)"])
        #expect(exchange.requestID.hasPrefix("req_"))
    }

    @Test func takesItsTimesFromTheInjectedClock() {
        let clock = GatewayClock(monotonicNanoseconds: { 42 }, wallMicroseconds: { 43 })
        let exchange = Exchange(
            head: RequestHead(method: .GET, target: "/"), eventLoop: EmbeddedEventLoop(), clock: clock,
            logger: Logger(label: "test"))
        #expect(exchange.startedNanoseconds == 42)
        #expect(exchange.startedMicroseconds == 43)
    }

    @Test func notesGatherTheFactsOfTheActivityRow() {
        let exchange = makeExchange()
        exchange.note { $0.requestedModel = "fast" }
        exchange.note { $0.upstreamStatus = 200 }
        #expect(exchange.facts.requestedModel == "fast")
        #expect(exchange.facts.upstreamStatus == 200)
    }
}
