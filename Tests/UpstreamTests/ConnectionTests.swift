import Glibc
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing
import TurnpikeKit

@testable import Upstream

/// Connections: reuse, time-outs, back pressure, giving up, the end.
@Suite(.timeLimit(.minutes(5)))
struct ConnectionTests {
    @Test func reusesAConnection() async throws {
        try await withServer({ connection in
            while true {
                _ = try connection.readRequest()
                try connection.write(okHello)
            }
        }) { upstream in
            for _ in 0..<20 {
                let response = try await upstream.send()
                #expect(try await upstream.body(of: response).count == 5)
            }
            #expect(upstream.server.connectionCount == 1)
        }
    }

    @Test func replacesAConnectionThatTheUpstreamHadClosed() async throws {
        let closed = Signal<Void>()
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write(okHello)
            connection.close()
            closed.send()
        }) { upstream in
            for round in 1...3 {
                let response = try await upstream.send(.POST, body: RequestBody(ByteBuffer(string: "x")))
                #expect(try await upstream.body(of: response).count == 5)
                try await closed.wait()
                #expect(upstream.server.connectionCount == round)
            }
        }
    }

    @Test(arguments: [true, false])
    func sendsAgainWhenAReusedConnectionIsResetBeforeTheHead(_ hasBody: Bool) async throws {
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write(okHello)
            _ = try connection.readRequest()
            if connection.number == 1 { return connection.reset() }
            try connection.write(okHello)
        }) { upstream in
            let body = hasBody ? RequestBody(ByteBuffer(string: "x")) : .empty
            for _ in 0..<3 {
                let response = try await upstream.send(hasBody ? .POST : .GET, body: body)
                #expect(try await upstream.body(of: response).count == 5)
            }
            #expect(upstream.server.connectionCount == 2)
        }
    }

    @Test func saysThatNothingWasSentWhenNobodyListens() async throws {
        let port = try ScriptedServer.closedPort()
        try await withServer({ _ in }) { upstream in
            let request = UpstreamRequest(
                method: .POST, url: "http://user:pa55word@127.0.0.1:\(port)/", headers: [:], body: .empty)
            let error = try await gatewayError { _ = try await upstream.send(request) }
            #expect(error.code == "upstream_unreachable")
            #expect(error.status == .badGateway)
            #expect(error.source == .upstream)
            #expect(error.retry == .safe)
            #expect(!error.debugDescription.contains("pa55word"))
        }
    }

    /// In a process of its own: the environment is not for several threads.
    @Test func ignoresTheProxyOfTheEnvironment() async throws {
        await #expect(processExitsWith: .success) {
            setenv("http_proxy", "http://127.0.0.1:9", 1)
            setenv("ALL_PROXY", "http://127.0.0.1:9", 1)
            try await withServer({ connection in
                _ = try connection.readRequest()
                try connection.write(okHello)
            }) { upstream in
                let response = try await upstream.send()
                #expect(response.status == .ok)
            }
        }
    }

    @Test func usesTheProxyOfTheConfiguration() async throws {
        let lines = Signal<String>()
        try await withServer({ connection in
            lines.send(try connection.readRequest().line)
            try connection.write(okHello)
        }) { upstream in
            let request = UpstreamRequest(
                method: .GET, url: "http://upstream.invalid/x", headers: [:], body: .empty,
                connection: UpstreamConnection(proxy: upstream.server.url))
            let response = try await upstream.send(request)
            #expect(response.status == .ok)
            #expect(try await lines.wait() == "GET http://upstream.invalid/x HTTP/1.1")
        }
    }

    @Test func carriesTwoHundredTransfersAtOnce() async throws {
        let all = Atomic64()
        let everybodyIsThere = Gate()
        try await withServer({ connection in
            let request = try connection.readRequest()
            try connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            all.add(1)
            if all.value == 200 { for _ in 0..<200 { everybodyIsThere.open() } }
            everybodyIsThere.wait()
            all.add(-1)
            let line = request.line
            for index in 0..<20 {
                let piece = "\(index) \(line);"
                try connection.write("\(String(piece.utf8.count, radix: 16))\r\n\(piece)\r\n")
            }
            try connection.write("0\r\n\r\n")
        }) { upstream in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        let response = try await upstream.send(.GET, "/\(number)")
                        let expected = (0..<20).map { "\($0) GET /\(number) HTTP/1.1;" }.joined()
                        let body = try await upstream.body(of: response)
                        #expect(String(decoding: body, as: UTF8.self) == expected)
                    }
                }
                try await group.waitForAll()
            }
            #expect(upstream.server.connectionCount == 200)
        }
    }

    @Test func failsWhatIsOpenWhenItShutsDownAndRefusesWhatComesLater() async throws {
        let requested = Signal<Void>()
        let closed = Signal<Void>()
        try await withServer({ connection in
            let request = try connection.readRequest()
            requested.send()
            if request.line.contains("/head") { try connection.write("HTTP/1.1 200 OK\r\n\r\nx") }
            try connection.waitForClose()
            closed.send()
        }) { upstream in
            let sink = RecordingSink()
            let source = try await upstream.send(.GET, "/head").stream()
            source.start(sink)
            try await sink.received(1)
            async let waiting = gatewayError { _ = try await upstream.send(.GET, "/silent") }
            for _ in 1...2 { try await requested.wait() }
            await upstream.client.shutdown()
            #expect(try await sink.failure()?.code == "server_shutting_down")
            let code = try await waiting.code
            #expect(code == "server_shutting_down")
            try await closed.wait()
            try await closed.wait()
            let late = try await gatewayError { _ = try await upstream.send() }
            #expect(late.code == "server_shutting_down")
            await upstream.client.shutdown()
        }
    }

    @Test(arguments: ClientKind.allCases)
    func closesConnectionsWhenItIsDropped(_ kind: ClientKind) async throws {
        let closed = Signal<Void>()
        let server = try ScriptedServer { connection in
            _ = try connection.readRequest()
            try connection.write(okHello)
            try connection.waitForClose()
            closed.send()
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let client = try kind.client(on: group.next())
            let fixture = Fixture(kind: kind, client: client, server: server, eventLoop: group.next())
            #expect(try await fixture.send().status == .ok)
        }
        try await closed.wait()
        server.stop()
        try await group.shutdownGracefully()
    }
}
