import NIOCore
import OpenAIWire
import Testing

@testable import TurnpikeKit

@Suite struct ResponsePipelineEndTests {
    private let journal = Journal()

    private func pipeline(_ transformers: any ResponseTransformer...) -> ResponsePipeline {
        ResponsePipeline(transformers, isEventStream: true)
    }

    private func probe(_ name: String, _ subscription: ResponseSubscription = .events) -> Probe {
        Probe(name: name, journal: journal, subscription: subscription)
    }

    private func text(_ bytes: ByteBuffer?) -> String { bytes.map { String(buffer: $0) } ?? "" }

    @Test func theInnermostEndsFirst() async {
        var pipeline = pipeline(probe("a"), probe("b"), probe("c", .bytes), probe("d"))
        let tail = await pipeline.finish(.complete)
        #expect(tail.bytes == nil && tail.error == nil)
        #expect(journal.entries == ["a complete", "b complete", "c complete", "d complete"])
    }

    @Test(arguments: [ResponseSubscription.events, .bytes])
    func aTailPassesThroughTheOuterOnes(outer: ResponseSubscription) async {
        var inner = probe("inner")
        inner.tail = { _ in .events([ServerSentEvent(data: ByteBuffer(string: "tail"))]) }
        var seeing = probe("outer", outer)
        seeing.event = { [journal] in
            journal.note("saw \(String(buffer: $0.raw))")
            return .pass
        }
        seeing.chunk = { [journal] in
            journal.note("saw \(String(buffer: $0))")
            return .pass
        }
        var pipeline = pipeline(inner, seeing)
        #expect(text(await pipeline.finish(.complete).bytes) == "data: tail\n\n")
        #expect(journal.entries == ["inner complete", "saw data: tail\n\n", "outer complete"])
    }

    @Test func aTailOfBytesIsEventsToTheOuterOnes() async {
        var inner = probe("inner")
        inner.tail = { _ in .bytes(ByteBuffer(string: "data: 1\n\ndata: 2\n\nrest")) }
        var dropping = probe("outer")
        dropping.event = { event in event.data.map { String(buffer: $0) } == "1" ? .withhold : .pass }
        var pipeline = pipeline(inner, dropping)
        #expect(text(await pipeline.finish(.complete).bytes) == "data: 2\n\nrest")
    }

    @Test func bytesWithoutTheirBlankLineComeLast() async throws {
        var pipeline = pipeline(Withholder())
        #expect(try pipeline.receive(ByteBuffer(string: "data: 1\n\ndata: [DONE]")) == nil)
        #expect(text(await pipeline.finish(.complete).bytes) == "data: 1\n\ndata: [DONE]")
    }

    @Test func halfAnEventOfABrokenStreamIsDropped() async throws {
        var pipeline = pipeline(probe("a"))
        #expect(text(try pipeline.receive(ByteBuffer(string: "data: 1\n\ndata: {\"hal"))) == "data: 1\n\n")
        let tail = await pipeline.finish(.failed(.test("cut")))
        #expect(tail.bytes == nil && tail.error == nil)
        #expect(journal.entries == ["a failed:cut"])
    }

    @Test func aClientThatLeftIsToldToEveryone() async {
        var failing = probe("a")
        failing.tail = { _ in throw GatewayError.test("late") }
        var pipeline = pipeline(failing, probe("b"), probe("c", .bytes))
        let tail = await pipeline.finish(.clientLeft)
        #expect(tail.error?.code == "late")
        #expect(journal.entries == ["a clientLeft", "b clientLeft", "c clientLeft"])
    }

    // MARK: - Failures

    @Test(arguments: [ResponseSubscription.events, .bytes])
    func anErrorAtTheEndIsTheEndForThoseFurtherOut(of subscription: ResponseSubscription) async {
        var failing = probe("b", subscription)
        failing.tail = { _ in throw GatewayError.test("not_stored") }
        var outer = probe("d")
        outer.tail = { _ in throw GatewayError.test("second") }
        var pipeline = pipeline(probe("a"), failing, probe("c"), outer)
        let tail = await pipeline.finish(.complete)
        #expect(tail.error?.code == "not_stored")
        #expect(journal.entries == ["a complete", "b complete", "c failed:not_stored", "d failed:not_stored"])
    }

    @Test func whatIsHeldBackWhenTheCommitFailsIsNotReleased() async throws {
        struct Committing: ResponseTransformer {
            var inner = Withholder()
            let subscription = ResponseSubscription.events
            mutating func onEvent(_ event: ServerSentEvent) throws(GatewayError) -> EventAction {
                try inner.onEvent(event)
            }
            mutating func onEnd(_ end: ResponseEnd) async throws -> ResponseTail {
                throw GatewayError.test("not_stored")
            }
        }
        var pipeline = pipeline(probe("a"), Committing())
        #expect(try pipeline.receive(ByteBuffer(string: "data: [DONE]\n\ndata: rest")) == nil)
        let tail = await pipeline.finish(.complete)
        #expect(tail.bytes == nil)
        #expect(tail.error?.code == "not_stored")
    }

    @Test(arguments: [ResponseSubscription.events, .bytes])
    func whatPassedBeforeAFailureIsNotLost(outer: ResponseSubscription) async {
        var failing = probe("a")
        failing.event = { event throws(GatewayError) in
            guard event.isDone else { return .pass }
            throw .test("broken")
        }
        var pipeline = pipeline(failing, probe("b", outer))
        let code = await failureCode {
            try pipeline.receive(ByteBuffer(string: "data: 1\n\ndata: 2\n\ndata: [DONE]\n\ndata: 3\n\n"))
        }
        #expect(code == "broken")
        #expect(text(await pipeline.finish(.failed(.test("broken"))).bytes) == "data: 1\n\ndata: 2\n\n")
        #expect(journal.entries == ["a failed:broken", "b failed:broken"])
    }

    @Test(arguments: [ResponseSubscription.events, .bytes])
    func nothingMorePassesATransformerThatHasThrown(of subscription: ResponseSubscription) async {
        var inner = probe("inner")
        inner.tail = { _ in .events([ServerSentEvent(data: ByteBuffer(string: "tail"))]) }
        var failing = probe("failing", subscription)
        failing.event = { [journal] _ throws(GatewayError) in
            journal.note("called")
            throw .test("broken")
        }
        failing.chunk = { [journal] _ throws(GatewayError) in
            journal.note("called")
            throw .test("broken")
        }
        var pipeline = pipeline(inner, failing)
        #expect(await failureCode { try pipeline.receive(ByteBuffer(string: "data: 1\n\n")) } == "broken")
        #expect(await pipeline.finish(.failed(.test("broken"))).bytes == nil)
        #expect(journal.entries == ["called", "inner failed:broken", "failing failed:broken"])
    }

    @Test func aTailThatAnOuterOneRefusesIsAFailureOfIt() async {
        var inner = probe("inner", .bytes)
        inner.tail = { _ in .bytes(ByteBuffer(string: "tail")) }
        var outer = probe("outer", .bytes)
        outer.chunk = { _ throws(GatewayError) in throw .test("refused") }
        var pipeline = pipeline(inner, outer)
        let tail = await pipeline.finish(.complete)
        #expect(tail.bytes == nil)
        #expect(tail.error?.code == "refused")
        #expect(journal.entries == ["inner complete", "outer failed:refused"])
    }

    @Test func anErrorThatIsNotOursIsInternalAndKeepsItsText() async {
        struct Odd: Error {}
        var failing = probe("a")
        failing.tail = { _ in throw Odd() }
        var pipeline = pipeline(failing)
        let error = await pipeline.finish(.complete).error
        #expect(error?.code == "internal_error")
        #expect(error?.detail.contains("Odd") == true)
        #expect(error?.message.contains("Odd") == false)
    }
}
