import NIOCore
import NIOHTTP1
import OpenAIWire
import Synchronization
import Testing
import TurnpikeKit

/// Streamed answers: framing, transformers, back pressure, and streams that break.
@Suite(.timeLimit(.minutes(5))) struct StreamingTests {
    static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    @Test func sendsEachChunkAsItComes() async throws {
        let source = Signal<ScriptedSource>()
        try await TestServer.with(streaming(source, type: "text/event-stream")) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            // The head does not wait for the first event.
            _ = try await client.receive {
                $0.contains("\r\nTransfer-Encoding: chunked\r\n") && $0.hasSuffix("\r\n\r\n")
            }
            await source.value.push("data: 1\n\n")
            _ = try await client.receive { $0.hasSuffix("\r\n\r\n9\r\ndata: 1\n\n\r\n") }
            await source.value.push("data: 2\n\n")
            _ = try await client.receive { $0.hasSuffix("9\r\ndata: 2\n\n\r\n") }
            await source.value.end(.complete)
            _ = try await client.receive { $0.hasSuffix("data: 2\n\n\r\n0\r\n\r\n") }
            let outcome = try #require(await server.handler.outcomes(1).first)
            #expect(outcome.word == "completed" && outcome.responseBytes == 18 && outcome.firstByteNanoseconds != nil)
            try await client.close()
        }
    }

    @Test func keepsTheUpstreamsLengthAndTheConnection() async throws {
        try await TestServer.with({ _, exchange in
            let source = ScriptedSource(on: exchange.eventLoop, initial: ["hel", "lo"], ending: .complete)
            return Response(status: .ok, headers: ["content-length": "5"], body: .stream(source))
        }) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            let answer = try await client.receive { $0.hasSuffix("hello") }
            #expect(answer.contains("Content-Length: 5\r\n") && !answer.contains("chunked"))
            try await client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            #expect(await client.receiveAll().split(separator: "HTTP/1.1 200 OK").count == 2)
        }
    }

    @Test(arguments: ["hell", "hello!"]) func breaksOffABodyOfAnotherLengthThanPromised(_ body: String) async throws {
        try await TestServer.with({ _, exchange in
            let source = ScriptedSource(
                on: exchange.eventLoop, initial: ["h", String(body.dropFirst())], ending: .complete)
            return Response(status: .ok, headers: ["Content-Length": "5"], body: .stream(source))
        }) { server in
            let answer = try await server.exchange(StreamingTests.get)
            #expect(!answer.hasSuffix("hello"))
            #expect(await server.handler.outcomes(1).map(\.word) == ["failed upstream_protocol_error"])
        }
    }

    @Test func relaysLargeChunksUncut() async throws {
        let chunk = String(repeating: "x", count: 100_000)
        try await TestServer.with({ _, exchange in
            Response(
                status: .ok,
                body: .stream(ScriptedSource(on: exchange.eventLoop, initial: [chunk, "y"], ending: .complete)))
        }) { server in
            let answer = try await server.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            #expect(answer.hasSuffix("\r\n\r\n186a0\r\n\(chunk)\r\n1\r\ny\r\n0\r\n\r\n"))
        }
    }

    @Test func tellsAnEventStreamThatItBrokeAndLeavesItUnfinished() async throws {
        let source = Signal<ScriptedSource>()
        try await TestServer.with(streaming(source, type: "text/event-stream")) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            await source.value.push("data: 1\n\n")
            await source.value.end(.failed(.wrongEnd))
            let all = await client.receiveAll()
            #expect(all.hasSuffix("event: error\ndata: {\"code\":\"wrong_end\"}\n\n\r\n"))
            #expect(await server.handler.outcomes(1).map(\.word) == ["failed wrong_end"])
        }
    }

    @Test func leavesAnyOtherBrokenBodyUnfinished() async throws {
        let source = Signal<ScriptedSource>()
        try await TestServer.with(streaming(source, type: "application/json")) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            await source.value.push("{")
            await source.value.end(.failed(.wrongEnd))
            #expect(await client.receiveAll().hasSuffix("\r\n1\r\n{\r\n"))
        }
    }

    @Test func endsTransformersBeforeTheEndIsReleased() async throws {
        let source = Signal<ScriptedSource>()
        let ending = EndingTransformer()
        try await TestServer.with(streaming(source, type: "text/plain", ending)) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            await source.value.push("body")
            await source.value.end(.complete)
            #expect(await ending.began.value == "complete")
            let sofar = try await client.receive { $0.contains("\r\n4\r\nbody\r\n") }
            #expect(sofar.hasSuffix("body\r\n"))
            ending.mayEnd.send(nil)
            _ = try await client.receive { $0.hasSuffix("4\r\ntail\r\n0\r\n\r\n") }
            try await client.close()
        }
    }

    @Test func turnsAFailedEndIntoAnErrorWhereNothingWasSent() async throws {
        let source = Signal<ScriptedSource>()
        let ending = EndingTransformer(withholds: true)
        ending.mayEnd.send(.wrongEnd)
        try await TestServer.with(streaming(source, type: "application/json", ending)) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            await source.value.push("{}")
            await source.value.end(.complete)
            let answer = try await client.receive { $0.contains("wrong_end") }
            #expect(answer.hasPrefix("HTTP/1.1 502 "))
            #expect(await server.handler.outcomes(1).map(\.word) == ["refused wrong_end"])
            try await client.close()
        }
    }

    @Test func framesABodyThatWasHeldBackByItsLength() async throws {
        let source = Signal<ScriptedSource>()
        let ending = EndingTransformer(withholds: true)
        ending.mayEnd.send(nil)
        try await TestServer.with(streaming(source, type: "application/json", ending)) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            await source.value.end(.complete)
            let answer = try await client.receive { $0.hasSuffix("tail") }
            #expect(answer.contains("Content-Length: 4\r\n"))
            try await client.close()
        }
    }

    @Test func breaksOffAStreamWhoseEndFails() async throws {
        let source = Signal<ScriptedSource>()
        let ending = EndingTransformer()
        ending.mayEnd.send(.wrongEnd)
        try await TestServer.with(streaming(source, type: "text/event-stream", ending)) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            await source.value.push("data: 1\n\n")
            await source.value.end(.complete)
            #expect(await client.receiveAll().hasSuffix("{\"code\":\"wrong_end\"}\n\n\r\n"))
            #expect(await server.handler.outcomes(1).map(\.word) == ["failed wrong_end"])
        }
    }

    @Test func cancelsTheSourceWhenATransformerFails() async throws {
        let source = Signal<ScriptedSource>()
        try await TestServer.with(streaming(source, type: "text/event-stream", FailingTransformer())) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            await source.value.push("data: 1\n\n")
            #expect(await source.value.cancelled.value)
            #expect(await client.receiveAll().contains("wrong_end"))
        }
    }

    @Test func pausesTheSourceForASlowReaderAndHoldsLittle() async throws {
        let source = Signal<ScriptedSource>()
        try await TestServer.with(streaming(source, type: "text/plain")) { server in
            let client = try await server.connect(autoRead: false)
            try await client.send(StreamingTests.get)
            let piece = ByteBuffer(repeating: 0x61, count: 10_000)
            let pushed = await source.value.pushUntilPaused(piece, atMost: 64 << 20)
            // The kernel's socket buffers, the server's 64 KB, and what was on its way.
            #expect(pushed < 2 << 20)
            try await client.setReading(true)
            #expect(await source.value.resumed.value)
            await source.value.end(.complete)
            let all = try await client.receive { $0.hasSuffix("a\r\n0\r\n\r\n") }
            #expect(all.utf8.count > pushed)
            try await client.close()
        }
    }
}

/// An answer that streams from a source that the test is given.
func streaming(
    _ source: Signal<ScriptedSource>, type: String, _ transformers: any ResponseTransformer...
) -> ScriptedHandler.Script {
    { _, exchange in
        let body = ScriptedSource(on: exchange.eventLoop)
        source.send(body)
        var response = Response(status: .ok, headers: ["Content-Type": type], body: .stream(body))
        for transformer in transformers { response.transform(with: transformer) }
        return response
    }
}

extension GatewayError {
    static let wrongEnd = GatewayError(.upstream, .badGateway, code: "wrong_end", "It ended wrongly.")
}

/// Adds "tail" at the end, when the test lets it; fails if the test says so.
struct EndingTransformer: ResponseTransformer {
    let began = Signal<String>()
    let mayEnd = Signal<GatewayError?>()
    let isCancelled = Signal<Bool>()
    var withholds = false

    var subscription: ResponseSubscription { .bytes }

    mutating func onChunk(_ chunk: ByteBuffer) throws(GatewayError) -> ChunkAction { withholds ? .withhold : .pass }

    mutating func onEnd(_ end: ResponseEnd) async throws -> ResponseTail {
        switch end {
        case .complete: began.send("complete")
        case .failed(let error): began.send("failed \(error.code)")
        case .clientLeft: began.send("clientLeft")
        }
        if let error = await mayEnd.value { throw error }
        isCancelled.send(Task.isCancelled)
        return .bytes(ByteBuffer(string: "tail"))
    }
}

private struct FailingTransformer: ResponseTransformer {
    var subscription: ResponseSubscription { .bytes }
    mutating func onChunk(_ chunk: ByteBuffer) throws(GatewayError) -> ChunkAction { throw .wrongEnd }
}
