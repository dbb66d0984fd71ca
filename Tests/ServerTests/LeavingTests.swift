import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing
import TurnpikeKit

/// Clients that leave, at every stage: the work stops, the transformers end, the finishers run once.
@Suite(.timeLimit(.minutes(5))) struct LeavingTests {
    private static let get = StreamingTests.get

    @Test func cancelsTheChain() async throws {
        let reached = Signal<Bool>()
        try await TestServer.with({ _, _ in
            reached.send(true)
            try await untilCancelled()
            return Response(status: .ok)
        }) { server in
            let client = try await server.connect()
            try await client.send(LeavingTests.get)
            _ = await reached.value
            try await client.close()
            #expect(await server.handler.outcomes(1).map(\.word) == ["clientLeft"])
        }
    }

    /// Exchanges of a loop share tasks, one after the other: one that was cancelled must not carry another.
    @Test func cancelsNobodyElse() async throws {
        let reached = Signal<Bool>()
        let script: ScriptedHandler.Script = { request, _ in
            if request.head.target == "/wait" {
                reached.send(true)
                // Whoever does not ask ends as if nothing had happened.
                try? await untilCancelled()
            }
            return Response(status: .ok, body: .bytes(ByteBuffer(string: "cancelled: \(Task.isCancelled)")))
        }
        try await TestServer.with(script, on: MultiThreadedEventLoopGroup.singleton.next()) { server in
            let (staying, leaving) = (try await server.connect(), try await server.connect())
            let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
            try await leaving.send(get)
            _ = try await leaving.receive { $0.hasSuffix("cancelled: false") }
            try await leaving.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
            _ = await reached.value
            try await leaving.close()
            #expect(await server.handler.outcomes(2).last?.word == "clientLeft")
            for count in 1...3 {
                try await staying.send(get)
                _ = try await staying.receive { $0.split(separator: "cancelled: false").count == count }
            }
            try await staying.close()
        }
    }

    @Test func treatsAnEndOfSendingAsLeaving() async throws {
        let reached = Signal<Bool>()
        try await TestServer.with({ _, _ in
            reached.send(true)
            try await untilCancelled()
            return Response(status: .ok)
        }) { server in
            let client = try await server.connect()
            try await client.send(LeavingTests.get)
            _ = await reached.value
            try await client.closeSending()
            #expect(await server.handler.outcomes(1).map(\.word) == ["clientLeft"])
        }
    }

    @Test func failsTheUploadThatSomebodyWaitsFor() async throws {
        try await TestServer.with(echo) { server in
            let client = try await server.connect()
            try await client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            _ = try await client.receive { $0.contains("100 Continue") }
            try await client.close()
            #expect(await server.handler.outcomes(1).map(\.word) == ["clientLeft"])
        }
    }

    @Test func noticesItWhileABodyIsUnreadAndTheSocketIsNotRead() async throws {
        let reached = Signal<Bool>()
        try await TestServer.with({ _, _ in
            reached.send(true)
            try await untilCancelled()
            return Response(status: .ok)
        }) { server in
            let client = try await server.connect()
            try await client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc")
            _ = await reached.value
            try await client.close()
            #expect(await server.handler.outcomes(1).map(\.word) == ["clientLeft"])
        }
    }

    @Test func cancelsTheSourceAndEndsTheTransformersUncancelled() async throws {
        let source = Signal<ScriptedSource>()
        let ending = EndingTransformer()
        try await TestServer.with(streaming(source, type: "text/event-stream", ending)) { server in
            let client = try await server.connect()
            try await client.send(LeavingTests.get)
            await source.value.push("data: 1\n\n")
            _ = try await client.receive { $0.contains("data: 1") }
            try await client.close()
            #expect(await source.value.cancelled.value)
            #expect(await ending.began.value == "clientLeft")
            ending.mayEnd.send(nil)
            #expect(await ending.isCancelled.value == false)
            let outcome = try #require(await server.handler.outcomes(1).first)
            #expect(outcome.word == "clientLeft" && outcome.status == 200 && outcome.responseBytes == 9)
        }
    }

    @Test func endsTransformersOfAnAnswerThatComesTooLate() async throws {
        let reached = Signal<Bool>()
        let ending = EndingTransformer()
        ending.mayEnd.send(nil)
        try await TestServer.with({ _, exchange in
            reached.send(true)
            try? await untilCancelled()
            var response = Response(status: .ok, body: .stream(ScriptedSource(on: exchange.eventLoop)))
            response.transform(with: ending)
            return response
        }) { server in
            let client = try await server.connect()
            try await client.send(LeavingTests.get)
            _ = await reached.value
            try await client.close()
            #expect(await ending.began.value == "clientLeft")
            #expect(await ending.isCancelled.value == false)
            #expect(await server.handler.outcomes(1).map(\.word) == ["clientLeft"])
        }
    }

    @Test func doesNotInterruptACommitThatIsUnderWay() async throws {
        let source = Signal<ScriptedSource>()
        let ending = EndingTransformer()
        try await TestServer.with(streaming(source, type: "text/event-stream", ending)) { server in
            let client = try await server.connect()
            try await client.send(LeavingTests.get)
            await source.value.push("data: 1\n\n")
            await source.value.end(.complete)
            #expect(await ending.began.value == "complete")
            try await client.close()
            ending.mayEnd.send(nil)
            #expect(await ending.isCancelled.value == false)
            #expect(await server.handler.outcomes(1).map(\.word) == ["clientLeft"])
        }
    }

    /// The request is cut after each of its bytes, and the answer is abandoned after each of its chunks.
    @Test func finishesOnceWhereverTheClientStops() async throws {
        let head = "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        let request = head + "3\r\nabc\r\n0\r\n\r\n"
        try await TestServer.with(echo) { server in
            for length in 0...request.utf8.count {
                let client = try await server.connect()
                try await client.send(String(request.utf8.prefix(length))!)
                if length == request.utf8.count { _ = try await client.receive { $0.hasSuffix("abc") } }
                try await client.close()
            }
            // Exchanges begin once their head is whole; each has one outcome, and nothing stays open.
            let begun = request.utf8.count - head.utf8.count + 1
            let outcomes = await server.handler.outcomes(begun)
            #expect(outcomes.count == begun)
            #expect(server.handler.begun.count == begun)
            #expect(outcomes.filter { $0.word == "completed" }.count == 1)
            #expect(outcomes.allSatisfy { ["completed", "clientLeft"].contains($0.word) })
        }
    }

    @Test(arguments: ["whole", "abandoned"]) func releasesTheExchange(_ end: String) async throws {
        let source = Signal<ScriptedSource>()
        let kept = WeakExchange()
        let script = streaming(source, type: "text/event-stream")
        try await TestServer.with({ request, exchange in
            kept.remember(exchange)
            return try await script(request, exchange)
        }) { server in
            let client = try await server.connect()
            try await client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
            await source.value.push("data: 1\n\n")
            _ = try await client.receive { $0.contains("data: 1") }
            if end == "whole" { await source.value.end(.complete) }
            try await client.close()
            _ = await server.handler.outcomes(1)
        }
        #expect(!kept.isAlive)
    }

    @Test(arguments: 0..<6) func finishesOnceWhenTheAnswerIsAbandonedAfterSoManyChunks(_ chunks: Int) async throws {
        let source = Signal<ScriptedSource>()
        let ending = EndingTransformer()
        ending.mayEnd.send(nil)
        try await TestServer.with(streaming(source, type: "text/event-stream", ending)) { server in
            let client = try await server.connect()
            try await client.send(LeavingTests.get)
            for number in 0..<chunks {
                await source.value.push("data: \(number)\n\n")
                _ = try await client.receive { $0.contains("data: \(number)\n") }
            }
            _ = await source.value.started.value
            try await client.close()
            #expect(await source.value.cancelled.value)
            #expect(await server.handler.outcomes(1).map(\.word) == ["clientLeft"])
        }
    }
}

/// Returns by throwing when the task is cancelled.
func untilCancelled() async throws {
    let (never, continuation) = AsyncStream.makeStream(of: Void.self)
    for await _ in never {}
    withExtendedLifetime(continuation) {}
    throw CancellationError()
}

/// Tells whether an exchange is still held by anyone.
private final class WeakExchange: Sendable {
    private struct Reference { weak var exchange: Exchange? }
    private let reference = Mutex(Reference())

    func remember(_ exchange: Exchange) { reference.withLock { $0.exchange = exchange } }
    var isAlive: Bool { reference.withLock { $0.exchange != nil } }
}
