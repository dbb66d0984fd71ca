import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Server
import ServiceLifecycle
import Testing
import TurnpikeKit

/// Stopping: nothing new, running exchanges end, the rest is broken off.
@Suite(.timeLimit(.minutes(5))) struct ShutdownTests {
    @Test func closesIdleConnectionsAndAcceptsNoMore() async throws {
        try await TestServer.with(greeting) { server in
            let idle = try await server.connect()
            try await idle.send(StreamingTests.get)
            _ = try await idle.receive { $0.hasSuffix("ok") }
            await server.services.triggerGracefulShutdown()
            #expect(await idle.receiveAll().hasSuffix("ok"))
            await #expect(throws: (any Error).self) { _ = try await server.connect() }
        }
    }

    @Test func letsARunningAnswerEndAndSaysThatItCloses() async throws {
        let mayAnswer = Signal<Bool>()
        let reached = Signal<Bool>()
        try await TestServer.with({ _, _ in
            reached.send(true)
            _ = await mayAnswer.value
            return Response(status: .ok, body: .bytes(ByteBuffer(string: "late")))
        }) { server in
            let client = try await server.connect()
            var others: [RawClient] = []
            for _ in 0..<32 { others.append(try await server.connect()) }
            try await client.send(StreamingTests.get)
            _ = await reached.value
            await server.services.triggerGracefulShutdown()
            // Connections are told in no order, by one thread that goes through all. When 32 others have ended this one
            // was told too, unless it is the last, and that thread was held up before it for as long as they took.
            for other in others { _ = await other.receiveAll() }
            mayAnswer.send(true)
            let answer = await client.receiveAll()
            #expect(answer.contains("Connection: close\r\n") && answer.hasSuffix("late"))
            #expect(await server.handler.outcomes(1).map(\.word) == ["completed"])
        }
    }

    @Test func letsARunningStreamEnd() async throws {
        let source = Signal<ScriptedSource>()
        try await TestServer.with(streaming(source, type: "text/event-stream")) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            await source.value.push("data: 1\n\n")
            _ = try await client.receive { $0.contains("data: 1") }
            await server.services.triggerGracefulShutdown()
            await source.value.push("data: 2\n\n")
            await source.value.end(.complete)
            #expect(await client.receiveAll().hasSuffix("data: 2\n\n\r\n0\r\n\r\n"))
        }
    }

    @Test func breaksOffAStreamThatDoesNotEndInTime() async throws {
        let source = Signal<ScriptedSource>()
        let ending = EndingTransformer()
        ending.mayEnd.send(nil)
        try await TestServer.with(
            streaming(source, type: "text/event-stream", ending), { $0.timeouts.drain = .milliseconds(50) }
        ) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            await source.value.push("data: 1\n\n")
            _ = try await client.receive { $0.contains("data: 1") }
            await server.services.triggerGracefulShutdown()
            #expect(await client.receiveAll().contains("\"server_shutting_down\""))
            #expect(await source.value.cancelled.value)
            #expect(await ending.began.value == "failed server_shutting_down")
            #expect(await server.handler.outcomes(1).map(\.word) == ["failed server_shutting_down"])
        }
    }

    @Test func breaksOffAChainThatDoesNotEndInTime() async throws {
        let reached = Signal<Bool>()
        try await TestServer.with(
            { _, _ in
                reached.send(true)
                try await untilCancelled()
                return Response(status: .ok)
            }, { $0.timeouts.drain = .milliseconds(50) }
        ) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            _ = await reached.value
            await server.services.triggerGracefulShutdown()
            #expect(await client.receiveAll().hasPrefix("HTTP/1.1 503 "))
            #expect(await server.handler.outcomes(1).map(\.word) == ["failed server_shutting_down"])
        }
    }

    @Test func waitsForTheCommitOfAClientThatLeft() async throws {
        let source = Signal<ScriptedSource>()
        let ending = EndingTransformer()
        try await TestServer.with(streaming(source, type: "text/event-stream", ending)) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            _ = await source.value.started.value
            try await client.close()
            #expect(await ending.began.value == "clientLeft")
            await server.services.triggerGracefulShutdown()
            #expect(server.server.connectionCount == 1)
            ending.mayEnd.send(nil)
            #expect(await server.handler.outcomes(1).map(\.word) == ["clientLeft"])
        }
    }

    @Test func failsWhenTheAddressIsTaken() async throws {
        try await TestServer.with(greeting) { server in
            var configuration = ServerConfiguration(address: .host("127.0.0.1", port: 0))
            configuration.address = .unixSocket("/nonexistent-directory/x.sock")
            let other = HTTPServer(
                configuration: configuration, handler: server.handler, group: MultiThreadedEventLoopGroup.singleton,
                budget: server.budget, logger: Logger(label: "test"))
            await #expect(throws: (any Error).self) { try await other.run() }
        }
    }
}
