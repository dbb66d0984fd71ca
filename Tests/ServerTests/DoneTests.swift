import NIOCore
import NIOHTTP1
import OpenAIWire
import Server
import Testing
import TurnpikeKit

/// `[DONE]` ends a streamed answer, whatever the upstream does behind it.
@Suite(.timeLimit(.minutes(5))) struct DoneTests {
    @Test(arguments: [true, false])
    func doneEndsTheAnswerWhileTheUpstreamKeepsItsConnectionOpen(isReworked: Bool) async throws {
        let source = Signal<ScriptedSource>()
        let script =
            isReworked
            ? streaming(source, type: "text/event-stream", PassingTransformer())
            : streaming(source, type: "text/event-stream")
        try await TestServer.with(script, { $0.timeouts.afterDone = .minutes(5) }) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            await source.value.push("data: 1\n\n")
            await source.value.push("data: [DONE]\n\n")
            _ = try await client.receive { $0.hasSuffix("data: [DONE]\n\n\r\n0\r\n\r\n") }
            #expect(await server.handler.outcomes(1).map(\.word) == ["completed"])
            #expect(!(await source.value.isCancelled), "Its connection may be used again.")
            await source.value.push(": late\n\n")
            await source.value.end(.failed(.wrongEnd))
            try await client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            _ = try await client.receive { $0.ranges(of: "HTTP/1.1 200 OK").count == 2 }
            #expect(!(await source.value.isCancelled))
            try await client.close()
        }
    }

    @Test func anUpstreamThatDoesNotEndBehindDoneIsClosed() async throws {
        let source = Signal<ScriptedSource>()
        try await TestServer.with(
            streaming(source, type: "text/event-stream"), { $0.timeouts.afterDone = .milliseconds(1) }
        ) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            await source.value.push("data: [DONE]\n\n")
            #expect(await source.value.cancelled.value)
            #expect(await server.handler.outcomes(1).map(\.word) == ["completed"])
            try await client.close()
        }
    }

    @Test func anUpstreamThatGoesOnAndOnBehindDoneIsClosed() async throws {
        let source = Signal<ScriptedSource>()
        try await TestServer.with(
            streaming(source, type: "text/event-stream"), { $0.timeouts.afterDone = .minutes(5) }
        ) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            await source.value.push("data: [DONE]\r\n\r\n")
            await source.value.push(ByteBuffer(repeating: 0x20, count: 64 << 10))
            #expect(!(await source.value.isCancelled))
            await source.value.push(": x\n\n")
            #expect(await source.value.cancelled.value)
            try await client.close()
        }
    }

    @Test(arguments: [
        ["data: x data: [DONE]\n\n"], ["data: x ", "data: [DONE]\n\n"], ["data: [DONE]\n"], ["data: [DONE]x\n\n"],
    ])
    func whatOnlyLooksLikeDoneEndsNothing(pieces: [String]) async throws {
        let source = Signal<ScriptedSource>()
        try await TestServer.with(streaming(source, type: "text/event-stream")) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            for piece in pieces { await source.value.push(piece) }
            await source.value.push("more\n\n")
            await source.value.end(.complete)
            _ = try await client.receive { $0.hasSuffix("6\r\nmore\n\n\r\n0\r\n\r\n") }
            try await client.close()
        }
    }
}

private struct PassingTransformer: ResponseTransformer {
    let subscription = ResponseSubscription.events
}
