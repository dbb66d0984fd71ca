import NIOCore
import NIOHTTP1
import Server
import Testing
import TurnpikeKit

/// Limits and time-outs: what a client may take, and how it is told.
@Suite(.timeLimit(.minutes(5))) struct LimitTests {
    @Test(arguments: ["one field", "many fields", "target", "field count"])
    func refusesAHeadThatIsTooLarge(_ kind: String) async throws {
        let fields =
            switch kind {
            case "one field": "X: " + String(repeating: "a", count: 5000) + "\r\n"
            case "many fields": String(repeating: "Name: " + String(repeating: "a", count: 100) + "\r\n", count: 50)
            case "field count": String(repeating: "a: b\r\n", count: 300)
            default: ""
            }
        let target = kind == "target" ? "/" + String(repeating: "a", count: 5000) : "/"
        try await TestServer.with(
            greeting,
            {
                $0.limits.headBytes = 4096
                $0.timeouts.linger = .milliseconds(200)
            }
        ) { server in
            let answer = try await server.exchange("GET \(target) HTTP/1.1\r\nHost: h\r\n\(fields)\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 431 "))
            #expect(answer.contains("request_head_too_large"))
        }
    }

    @Test func refusesALargeBodyByItsLengthWithoutReadingIt() async throws {
        try await TestServer.with(
            echo,
            {
                $0.limits.bodyBytes = 1000
                $0.timeouts.linger = .milliseconds(200)
            }
        ) { server in
            let answer = try await server.exchange("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc")
            #expect(answer.hasPrefix("HTTP/1.1 413 "))
            #expect(answer.contains("Connection: close\r\n"))
            #expect(await server.handler.outcomes(1).map(\.word) == ["refused request_too_large"])
        }
    }

    @Test func refusesALargeChunkedBodyByCounting() async throws {
        try await TestServer.with(
            echo,
            {
                $0.limits.bodyBytes = 1000
                $0.timeouts.linger = .milliseconds(200)
            }
        ) { server in
            let chunk = "1f4\r\n" + String(repeating: "a", count: 500) + "\r\n"
            let answer = try await server.exchange(
                "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + chunk + chunk)
            #expect(answer.hasPrefix("HTTP/1.1 413 "))
        }
    }

    @Test func tellsAClientThatStillSendsWhyItsBodyIsRefused() async throws {
        // Far more than the socket's buffers hold: a close without lingering would reset the connection and lose the 413.
        try await TestServer.with(echo, { $0.limits.bodyBytes = 1000 }) { server in
            let client = try await server.connect()
            try await client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n")
            client.sendWithoutWaiting(ByteBuffer(repeating: 0x61, count: 8_000_000))
            #expect(await client.receiveAll().hasPrefix("HTTP/1.1 413 "))
        }
    }

    @Test func keepsTheConnectionAfterARefusedBodyThatIsSmall() async throws {
        try await TestServer.with(echo, { $0.limits.bodyBytes = 3 }) { server in
            let client = try await server.connect()
            try await client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
            try await client.send("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
            let all = await client.receiveAll()
            #expect(all.hasPrefix("HTTP/1.1 413 "))
            #expect(all.hasSuffix("\r\n\r\nhi"))
        }
    }

    @Test func refusesBodiesBeyondTheSharedBudgetAndGivesItBack() async throws {
        try await TestServer.with(echo, budget: 10) { server in
            let client = try await server.connect()
            try await client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world")
            let refusal = try await client.receive { $0.contains("server_overloaded") }
            #expect(refusal.hasPrefix("HTTP/1.1 503 "))
            #expect(refusal.contains("Retry-After: 1\r\n"))
            try await client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789")
            _ = try await client.receive { $0.hasSuffix("0123456789") }
            try await client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n9876543210")
            _ = try await client.receive { $0.hasSuffix("9876543210") }
            try await client.close()
        }
    }

    @Test func timesOutASlowHead() async throws {
        try await TestServer.with(
            greeting,
            {
                $0.timeouts.head = .seconds(1)
                $0.timeouts.linger = .milliseconds(200)
            }
        ) { server in
            let answer = try await server.exchange("GET / HTTP/1.1\r\nHost:")
            #expect(answer.hasPrefix("HTTP/1.1 408 "))
            #expect(answer.contains("Connection: close\r\n"))
        }
    }

    @Test func timesOutASlowSecondHead() async throws {
        try await TestServer.with(
            greeting,
            {
                $0.timeouts.head = .seconds(1)
                $0.timeouts.linger = .milliseconds(200)
            }
        ) { server in
            let client = try await server.connect()
            try await client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            _ = try await client.receive { $0.hasSuffix("ok") }
            try await client.send("GET / HTTP/1.1\r\n")
            #expect(await client.receiveAll().contains("\r\n\r\nokHTTP/1.1 408 "))
        }
    }

    @Test func closesASilentConnectionWithoutAWord() async throws {
        try await TestServer.with(greeting, { $0.timeouts.head = .milliseconds(50) }) { server in
            let client = try await server.connect()
            #expect(await client.receiveAll() == "")
        }
    }

    @Test func closesAnIdleConnectionAfterTheKeepAliveTime() async throws {
        try await TestServer.with(greeting, { $0.timeouts.keepAlive = .milliseconds(50) }) { server in
            let answer = try await server.exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(answer.hasSuffix("\r\n\r\nok"))
        }
    }

    @Test func timesOutASlowBody() async throws {
        try await TestServer.with(
            echo,
            {
                $0.timeouts.body = .milliseconds(50)
                $0.timeouts.linger = .milliseconds(200)
            }
        ) { server in
            let answer = try await server.exchange("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
            #expect(answer.hasPrefix("HTTP/1.1 408 "))
            #expect(answer.contains("Connection: close\r\n"))
            #expect(await server.handler.outcomes(1).map(\.word) == ["refused request_timeout"])
        }
    }

    @Test func givesUpAClientThatDoesNotReadItsAnswer() async throws {
        let source = Signal<ScriptedSource>()
        try await TestServer.with(
            { _, exchange in
                let body = ScriptedSource(on: exchange.eventLoop)
                source.send(body)
                return Response(status: .ok, body: .stream(body))
            }, { $0.timeouts.write = .milliseconds(50) }
        ) { server in
            let client = try await server.connect(autoRead: false)
            try await client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            _ = await source.value.pushUntilPaused(ByteBuffer(repeating: 0x61, count: 65536), atMost: 64 << 20)
            #expect(await source.value.cancelled.value)
            #expect(await server.handler.outcomes(1).map(\.word) == ["clientLeft"])
            try await client.close()
        }
    }

    @Test func tellsTheConnectionThatIsOneTooMany() async throws {
        try await TestServer.with(greeting, { $0.limits.connections = 1 }) { server in
            let first = try await server.connect()
            try await first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            _ = try await first.receive { $0.hasSuffix("ok") }
            let answer = try await server.exchange("GET /more HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 503 "))
            #expect(answer.contains("too_many_connections"))
            #expect(server.handler.turnedAway.map(\.path) == ["/more"])
            try await first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            _ = try await first.receive { $0.hasSuffix("ok") }
            try await first.close()
        }
    }
}
