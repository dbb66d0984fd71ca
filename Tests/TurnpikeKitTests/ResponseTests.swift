import NIOCore
import NIOHTTP1
import OpenAIWire
import Testing

@testable import TurnpikeKit

@Suite struct ResponseTests {
    private let journal = Journal()

    private func streamed(_ source: ScriptedSource) -> Response {
        Response(status: .ok, headers: ["Content-Length": "3"], body: .stream(source))
    }

    @Test(
        arguments: [
            ("text/event-stream", nil, true), ("Text/Event-Stream; charset=utf-8", nil, true),
            ("text/event-stream", "identity", true), ("text/event-stream", "gzip", false),
            ("application/json", nil, false),
            ("text/event", nil, false),
        ] as [(String, String?, Bool)])
    func knowsAnEventStreamThatItCanRead(type: String, encoding: String?, isEventStream: Bool) {
        var response = Response(status: .ok, headers: ["Content-Type": type])
        if let encoding { response.headers.add(name: "Content-Encoding", value: encoding) }
        #expect(response.isEventStream == isEventStream)
    }

    @Test func aReworkedBodyLosesItsLength() {
        var response = streamed(ScriptedSource())
        response.transform(with: Probe())
        #expect(!response.headers.contains(name: "content-length"))
    }

    @Test func collectsAndLeavesTheBytesInPlace() async throws {
        var response = streamed(ScriptedSource(atOnce: ["ab", "c"]))
        #expect(String(buffer: try await response.collect(upTo: 3)) == "abc")
        #expect(response.text == "abc")
        #expect(String(buffer: try await response.collect(upTo: 3)) == "abc")
    }

    @Test func collectsThroughTheTransformersOnce() async throws {
        var response = streamed(ScriptedSource(atOnce: ["ab"]))
        response.transform(with: Probe(chunk: { .replace(ByteBuffer(string: "<\(String(buffer: $0))>")) }))
        response.transform(with: Probe(journal: journal, tail: { _ in .bytes(ByteBuffer(string: "!")) }))
        try await response.collect(upTo: 100)
        try await response.collect(upTo: 100)
        #expect(response.text == "<ab>!")
        #expect(journal.entries == ["probe complete"])
    }

    @Test func anEmptyBodyHasAnEndToo() async throws {
        var response = Response(status: .ok)
        response.transform(with: Probe(journal: journal, tail: { _ in .bytes(ByteBuffer(string: "tail")) }))
        #expect(String(buffer: try await response.collect(upTo: 100)) == "tail")
        #expect(journal.entries == ["probe complete"])
    }

    // MARK: - Failures: each calls every end once, and leaves nothing that could be started again

    private func expectFailure(
        _ code: String, end: String, of response: Response, upTo limit: Int = 100
    ) async {
        var response = response
        response.transform(with: Probe(name: "outer", journal: journal))
        #expect(await failureCode { try await response.collect(upTo: limit) } == code)
        #expect(journal.entries.filter { $0.hasPrefix("outer") } == ["outer \(end)"])
        if case .empty = response.body {} else { Issue.record("The body could be started again.") }
    }

    @Test func anAnswerThatBreaksOff() async {
        let source = ScriptedSource()
        let task = Task.immediate {
            await expectFailure("reset", end: "failed:reset", of: streamed(source))
        }
        source.deliver("half")
        source.end(.failed(.test("reset")))
        await task.value
    }

    @Test func anAnswerThatIsTooLarge() async {
        let source = ScriptedSource(atOnce: ["1234"])
        await expectFailure("answer_too_large", end: "failed:answer_too_large", of: streamed(source), upTo: 3)
        #expect(source.calls == ["start", "cancel"])
    }

    @Test func aTransformerThatThrowsWhileItPasses() async {
        var response = streamed(ScriptedSource(atOnce: ["1"]))
        response.transform(
            with: Probe(name: "inner", journal: journal, chunk: { _ throws(GatewayError) in throw .test("broken") }))
        await expectFailure("broken", end: "failed:broken", of: response)
        #expect(journal.entries == ["inner failed:broken", "outer failed:broken"])
    }

    @Test func aTransformerThatThrowsAtTheEnd() async {
        var response = streamed(ScriptedSource(atOnce: ["1"]))
        response.transform(with: Probe(name: "inner", journal: journal, tail: { _ in throw GatewayError.test("late") }))
        await expectFailure("late", end: "failed:late", of: response)
    }

    @Test func aClientThatLeaves() async {
        let source = ScriptedSource()
        let task = Task.immediate { await expectFailure("client_left", end: "clientLeft", of: streamed(source)) }
        task.cancel()
        await task.value
        #expect(source.calls == ["start", "cancel"])
    }

    @Test func anAnswerThatIsGivenUpEndsItsBodyAndItsTransformers() async {
        let source = ScriptedSource()
        var response = streamed(source)
        response.transform(with: Probe(journal: journal))
        await response.discard(because: .test("replaced"))
        #expect(source.calls == ["cancel"])
        #expect(journal.entries == ["probe failed:replaced"])
        #expect(response.transformers.isEmpty)
    }
}
