import NIOCore
import NIOHTTP1
import OpenAIWire
import Testing

@testable import TurnpikeKit

@Suite struct BufferReservationTests {
    @Test func whatIsTakenIsGivenBackWithTheLastReference() throws {
        let budget = BufferBudget(limit: 100)
        var held: BufferReservation? = BufferReservation(budget)
        try held?.take(60)
        #expect(budget.usedBytes == 60)
        held?.shrink(to: 20)
        #expect(budget.usedBytes == 20)
        held = nil
        #expect(budget.usedBytes == 0)
    }

    @Test func whatIsRefusedTakesNothing() throws {
        let budget = BufferBudget(limit: 100)
        let one = BufferReservation(budget)
        let other = BufferReservation(budget)
        try one.take(60)
        #expect(code { () throws(GatewayError) in try other.take(41) } == "server_overloaded")
        #expect(other.bytes == 0 && budget.usedBytes == 60)
        try other.take(40)
        one.release()
        one.release()
        #expect(budget.usedBytes == 40, "What was given back is not given back again.")
    }

    @Test func anOwnLimitHasAnErrorOfItsOwn() throws {
        let budget = BufferBudget(limit: 100)
        let held = BufferReservation(budget, limit: .init(bytes: 10, error: .test("too_much")))
        try held.take(10)
        #expect(code { () throws(GatewayError) in try held.take(1) } == "too_much")
        #expect(budget.usedBytes == 10)
    }

    @Test func coveringAsksSeldomAndTakesTheBareNeedWhereRoomIsScarce() throws {
        let budget = BufferBudget(limit: 10_000)
        let held = BufferReservation(budget)
        try held.cover(1)
        #expect(held.bytes == 4096)
        try held.cover(4096)
        #expect(held.bytes == 4096)
        try held.cover(4097)
        #expect(held.bytes == 8192)
        try held.cover(9_999)
        #expect(held.bytes == 9_999, "The next step would be more than there is.")
        #expect(code { () throws(GatewayError) in try held.cover(10_001) } == "server_overloaded")
    }

    @Test func withoutABudgetEverythingIsGranted() throws {
        let held = BufferReservation(nil)
        try held.take(1 << 40)
        #expect(held.bytes == 1 << 40)
    }

    // MARK: - Bodies that are rewritten

    private func body(_ text: String, _ budget: BufferBudget) -> RequestBody {
        RequestBody(source: ScriptedSource(atOnce: [text]), declaredLength: nil, budget: budget)
    }

    @Test func anEditedBodyIsCountedBesideTheOneThatItWasMadeOf() async throws {
        let budget = BufferBudget(limit: 100)
        var original: RequestBody? = body(#"{"a":1}"#, budget)
        let object = try JSONObject(scanning: try await original!.collect(upTo: 100))
        var edited = try await original?.edited(object, [.set("b", ByteBuffer(string: "22"))])
        #expect(String(buffer: try await edited!.collect(upTo: 100)) == #"{"a":1,"b":22}"#)
        #expect(edited?.declaredLength == 14)
        #expect(budget.usedBytes == 7 + 14)
        original = nil
        #expect(budget.usedBytes == 14)
        edited = nil
        #expect(budget.usedBytes == 0)
    }

    @Test func anEditWithoutEffectIsTheBodyItself() async throws {
        let budget = BufferBudget(limit: 100)
        let original = body(#"{"a":1}"#, budget)
        let object = try JSONObject(scanning: try await original.collect(upTo: 100))
        let edited = try await original.edited(object, [.remove("b")])
        #expect(String(buffer: try await edited.collect(upTo: 100)) == #"{"a":1}"#)
        #expect(budget.usedBytes == 7)
    }

    @Test func anEditThatDoesNotFitIsRefusedBeforeItIsMade() async throws {
        let budget = BufferBudget(limit: 20)
        let original = body(#"{"a":1}"#, budget)
        let object = try JSONObject(scanning: try await original.collect(upTo: 100))
        #expect(
            await failureCode { try await original.edited(object, [.set("b", ByteBuffer(string: "22"))]) }
                == "server_overloaded")
        #expect(budget.usedBytes == 7)
    }

    @Test func aLargeBodyIsScannedElsewhereAndComesBackWhole() async throws {
        let text = #"{"a":"# + String(repeating: " ", count: BodyWork.largeBytes) + "1}"
        let body = RequestBody(ByteBuffer(string: text))
        let object = try await body.derived(upTo: 1 << 20) { try JSONObject(scanning: $0) }
        #expect(object["a"]?.int == 1)
        let edited = try await body.edited(object, [.replace("a", ByteBuffer(string: "2"))])
        #expect(try await edited.collect(upTo: 1 << 20).readableBytes == text.utf8.count)
        await #expect(throws: WireError.self) {
            try await body.derived(upTo: 1 << 20) { bytes -> [JSONValue] in try JSONArray.elements(of: bytes) }
        }
    }

    // MARK: - Answers

    @Test func aCollectedAnswerIsCountedUntilTheExchangeIsOver() async throws {
        let budget = BufferBudget(limit: 10)
        let exchange = makeExchange(budget: budget)
        var response = Response(status: .ok, body: .stream(ScriptedSource(atOnce: ["12345", "678"])))
        try await response.collect(upTo: 100, in: exchange)
        #expect(budget.usedBytes == 8)
        var other = Response(status: .ok, body: .stream(ScriptedSource(atOnce: ["123"])))
        #expect(await failureCode { try await other.collect(upTo: 100, in: exchange) } == "server_overloaded")
        exchange.finish(Outcome(ending: .completed, status: 200))
        #expect(budget.usedBytes == 0)
    }

    @Test func anUnfinishedEventIsCountedOnceItIsMoreThanOneRead() async throws {
        let budget = BufferBudget(limit: 1 << 20)
        var pipeline = ResponsePipeline([Probe()], isEventStream: true, budget: budget)
        _ = try pipeline.receive(ByteBuffer(string: "data: "))
        #expect(budget.usedBytes == 0)
        let piece = ByteBuffer(repeating: UInt8(ascii: "x"), count: 100 << 10)
        _ = try pipeline.receive(piece)
        #expect(budget.usedBytes >= 100 << 10)
        #expect(try pipeline.receive(ByteBuffer(string: "\n\n"))?.readableBytes == 6 + (100 << 10) + 2)
        #expect(budget.usedBytes == 0)
        var failure: GatewayError?
        for _ in 0..<11 where failure == nil {
            do { _ = try pipeline.receive(piece) } catch { failure = error }
        }
        #expect(failure?.code == "server_overloaded")
    }

    private func code(_ work: () throws(GatewayError) -> Void) -> String? {
        do {
            try work()
            return nil
        } catch {
            return error.code
        }
    }
}
