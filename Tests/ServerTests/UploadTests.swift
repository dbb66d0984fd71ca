import NIOCore
import NIOHTTP1
import Server
import Synchronization
import Testing
import TurnpikeKit

/// Request bodies: on demand, with `100 Continue`, back pressure, and bodies that nobody reads.
@Suite(.timeLimit(.minutes(5))) struct UploadTests {
    @Test func sendsContinueWhenTheBodyIsAskedForAndNotBefore() async throws {
        let mayRead = Signal<Bool>()
        let reached = Signal<Bool>()
        try await TestServer.with({ request, exchange in
            reached.send(true)
            _ = await mayRead.value
            return try await echo(request, exchange)
        }) { server in
            let client = try await server.connect()
            try await client.send(
                "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
            _ = await reached.value
            let early = try await client.receive { _ in true }
            #expect(early == "")
            mayRead.send(true)
            let interim = try await client.receive { $0.hasSuffix("\r\n\r\n") }
            #expect(interim == "HTTP/1.1 100 Continue\r\n\r\n")
            try await client.send("hi")
            #expect(await client.receiveAll().hasSuffix("\r\n\r\nhi"))
        }
    }

    @Test func refusesWithoutContinueAndCloses() async throws {
        try await TestServer.with(
            { _, _ in throw GatewayError.badRequest("no", "No.") },
            {
                $0.timeouts.linger = .milliseconds(200)
            }
        ) { server in
            let answer = try await server.exchange(
                "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 400 "))
            #expect(answer.contains("Connection: close\r\n"))
        }
    }

    @Test(arguments: ["length", "chunked"]) func dropsASmallBodyThatNobodyReads(_ kind: String) async throws {
        try await TestServer.with(greeting) { server in
            let body =
                kind == "length"
                ? "Content-Length: 5\r\n\r\nhello" : "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            let client = try await server.connect()
            try await client.send("POST / HTTP/1.1\r\nHost: h\r\n\(body)")
            _ = try await client.receive { $0.hasSuffix("ok") }
            if kind == "length" {
                try await client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                #expect(await client.receiveAll().split(separator: "HTTP/1.1 200 OK").count == 2)
            } else {
                try await client.close()
            }
        }
    }

    @Test func closesAfterALargeBodyThatNobodyReads() async throws {
        try await TestServer.with(greeting, { $0.timeouts.linger = .milliseconds(200) }) { server in
            let answer = try await server.exchange("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nhello")
            #expect(answer.contains("Connection: close\r\n"))
            #expect(answer.hasSuffix("\r\n\r\nok"))
        }
    }

    @Test func readsNothingAheadOfDemand() async throws {
        let mayAnswer = Signal<Bool>()
        try await TestServer.with({ request, exchange in
            _ = await mayAnswer.value
            return try await echo(request, exchange)
        }) { server in
            let client = try await server.connect()
            let size = 16 << 20
            try await client.send("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: \(size)\r\n\r\n")
            let isSent = Mutex(false)
            async let sending: Void = {
                try await client.send(ByteBuffer(repeating: 0x61, count: size))
                isSent.withLock { $0 = true }
            }()
            // A second connection's exchange shows that the server had time to read.
            for _ in 0..<50 { _ = try await server.exchange("GET * HTTP/1.1\r\nHost: h\r\n\r\n") }
            #expect(!isSent.withLock { $0 })
            mayAnswer.send(true)
            try await sending
            #expect(await client.receiveAll().utf8.count > size)
        }
    }

    @Test func pausesTheClientWhenTheConsumerPauses() async throws {
        let consumer = PausingSink()
        try await TestServer.with({ request, exchange in
            guard case .stream(let source, let length) = try request.body.takeContent() else {
                return Response(status: .ok)
            }
            #expect(length == 32 << 20)
            await consumer.consume(source, on: exchange.eventLoop)
            return Response(status: .ok, body: .bytes(ByteBuffer(string: "\(consumer.total)")))
        }) { server in
            let client = try await server.connect()
            try await client.send(
                "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: \(32 << 20)\r\n\r\n")
            client.sendWithoutWaiting(ByteBuffer(repeating: 0x61, count: 32 << 20))
            let before = await consumer.paused.value
            for _ in 0..<50 { _ = try await server.exchange("GET * HTTP/1.1\r\nHost: h\r\n\r\n") }
            // What one burst of reads had brought may still come.
            #expect(consumer.total <= before + 512 << 10)
            await consumer.resume()
            #expect(await client.receiveAll().hasSuffix("\r\n\r\n\(32 << 20)"))
        }
    }

    @Test func goesOnAfterAConsumerThatGaveUp() async throws {
        try await TestServer.with({ request, _ in
            guard case .stream(let source, _) = try request.body.takeContent() else { return Response(status: .ok) }
            source.start(IgnoringSink())
            source.cancel()
            return Response(status: .ok, body: .bytes(ByteBuffer(string: "ok")))
        }) { server in
            let client = try await server.connect()
            try await client.send("POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
            _ = try await client.receive { $0.hasSuffix("ok") }
            try await client.send("lloPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\n.")
            #expect(await client.receiveAll().split(separator: "HTTP/1.1 200 OK").count == 2)
            #expect(server.handler.begun.map(\.target) == ["/1", "/2"])
        }
    }
}

/// Pauses after its first piece until it is resumed, and counts.
final class PausingSink: BodySink {
    private struct State {
        var total = 0
        var source: (any BodySource)?
        var eventLoop: (any EventLoop)?
        var isPaused = false
    }
    private let state = Mutex(State())
    private let ended = Signal<Bool>()
    let paused = Signal<Int>()

    var total: Int { state.withLock { $0.total } }

    func consume(_ source: any BodySource, on eventLoop: any EventLoop) async {
        state.withLock {
            $0.source = source
            $0.eventLoop = eventLoop
        }
        source.start(self)
        _ = await ended.value
    }

    func receive(_ bytes: ByteBuffer) {
        let (total, pauses) = state.withLock { state in
            state.total += bytes.readableBytes
            defer { state.isPaused = true }
            return (state.total, !state.isPaused)
        }
        guard pauses else { return }
        state.withLock { $0.source }?.setPaused(true)
        paused.send(total)
    }

    func end(_ end: BodyEnd) { ended.send(true) }

    func resume() async {
        guard let eventLoop = state.withLock({ $0.eventLoop }) else { return }
        try? await eventLoop.submit { self.state.withLock { $0.source }?.setPaused(false) }.get()
    }
}

private final class IgnoringSink: BodySink {
    func receive(_ bytes: ByteBuffer) {}
    func end(_ end: BodyEnd) {}
}
