import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Server
import Testing
import TurnpikeKit

/// What only TCP shows.
@Suite(.timeLimit(.minutes(5))) struct NetworkTests {
    @Test func servesOnAPortAndKnowsItsPeer() async throws {
        try await TestServer.with(
            { _, exchange in
                Response(status: .ok, body: .bytes(ByteBuffer(string: exchange.peerAddress)))
            }, { $0.address = .host("127.0.0.1", port: try freePort()) }
        ) { server in
            let answer = try await server.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            #expect(answer.hasSuffix("\r\n\r\n127.0.0.1"))
        }
    }

    @Test func tellsAClientThatStillSendsWhyItsBodyIsRefused() async throws {
        try await TestServer.with(
            echo,
            {
                $0.address = .host("127.0.0.1", port: try freePort())
                $0.limits.bodyBytes = 1000
            }
        ) { server in
            let client = try await server.connect()
            try await client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n")
            client.sendWithoutWaiting(ByteBuffer(repeating: 0x61, count: 8_000_000))
            let answer = try await client.receive { $0.contains("request_too_large") }
            #expect(answer.hasPrefix("HTTP/1.1 413 "))
            try await client.close()
        }
    }

    @Test func noticesAResetWhileItStreams() async throws {
        let source = Signal<ScriptedSource>()
        try await TestServer.with(
            streaming(source, type: "text/event-stream"), { $0.address = .host("127.0.0.1", port: try freePort()) }
        ) { server in
            let client = try await server.connect()
            try await client.resetOnClose()
            try await client.send(StreamingTests.get)
            await source.value.push("data: 1\n\n")
            _ = try await client.receive { $0.contains("data: 1") }
            try await client.close()
            #expect(await source.value.cancelled.value)
            #expect(await server.handler.outcomes(1).map(\.word) == ["clientLeft"])
        }
    }
}

/// A port below the range that the system gives to outgoing connections, which nobody listens on now.
private func freePort() throws -> Int {
    for _ in 0..<100 {
        let port = Int.random(in: 20_000..<32_000)
        let probe = try? ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .bind(host: "127.0.0.1", port: port).wait()
        guard let probe else { continue }
        try probe.close().wait()
        return port
    }
    throw ChannelError.operationUnsupported
}
