import Glibc
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing
import TurnpikeKit

@testable import Upstream

/// What only the client for plain HTTP decides: which requests are its own, and which connections are used again.
@Suite(.timeLimit(.minutes(5)))
struct PlainClientTests {
    @Test(arguments: [
        ("http://127.0.0.1:8080/v1/x?y=z", "127.0.0.1", 8080, "127.0.0.1:8080", "/v1/x?y=z"),
        ("HTTP://Example.com", "Example.com", 80, "Example.com", "/"),
        ("http://example.com:80/a%2Fb//../c", "example.com", 80, "example.com", "/a%2Fb//../c"),
        ("http://example.com?q", "example.com", 80, "example.com", "/?q"),
        ("http://[::1]:81/", "::1", 81, "[::1]:81", "/"), ("http://[fe80::1]/", "fe80::1", 80, "[fe80::1]", "/"),
    ])
    func readsAnOrdinaryURL(_ url: String, _ host: String, _ port: Int, _ field: String, _ path: String) throws {
        let target = try #require(PlainTarget.reading(url))
        #expect(target.origin == PlainTarget.Origin(host: host, port: port))
        #expect(target.hostField == field)
        #expect(target.requestTarget == path)
    }

    @Test(arguments: [
        "https://example.com/", "ftp://example.com/", "http:/x", "http://", "http:///x", "http://a@b/", "http://a:b@c/",
        "http://x:/", "http://x:0/", "http://x:65536/", "http://x:+1/", "http://x:1:2/", "http://[::1/", "http://[]/",
        "http://[::1]x/", "http://[::1%25eth0]/", "http://a b/", "http://x/ ", "http://x/\u{7f}", "http://x/é",
        "http://é/",
        "http://x\\y/", "http://x/#a", "http://x#/", "",
    ])
    func leavesEverythingElseToLibcurl(_ url: String) {
        #expect(PlainTarget.reading(url) == nil)
    }

    @Test func leavesProxiesToLibcurl() {
        let request = UpstreamRequest(
            method: .GET, url: "http://example.com/", headers: [:], body: .empty,
            connection: UpstreamConnection(proxy: "http://proxy:1"))
        #expect(PlainTarget.of(request) == nil)
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more than was promised",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ])
    func usesAConnectionNoMoreThatCannotBeTrusted(_ answer: String) async throws {
        let closed = Signal<Void>()
        try await withServer(
            over: [.selecting],
            { connection in
                _ = try connection.readRequest()
                try connection.write(answer)
                try connection.waitForClose()
                closed.send()
            }
        ) { upstream in
            for count in 1...3 {
                let response = try await upstream.send()
                #expect(try await upstream.body(of: response) == Array("hello".utf8))
                try await closed.wait()
                #expect(upstream.server.connectionCount == count)
            }
        }
    }

    @Test func closesAConnectionThatSpeaksUnasked() async throws {
        let go = Gate()
        let closed = Signal<Void>()
        try await withServer(
            over: [.selecting],
            { connection in
                _ = try connection.readRequest()
                try connection.write(okHello)
                guard connection.number == 1 else { return try connection.waitForClose() }
                go.wait()
                try connection.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
                try connection.waitForClose()
                closed.send()
            }
        ) { upstream in
            #expect(try await upstream.body(of: try await upstream.send()).count == 5)
            go.open()
            try await closed.wait()
            #expect(try await upstream.body(of: try await upstream.send()) == Array("hello".utf8))
            #expect(upstream.server.connectionCount == 2)
        }
    }

    @Test func closesIdleConnectionsAfterTheirTime() async throws {
        let closed = Signal<Void>()
        let server = try ScriptedServer { connection in
            _ = try connection.readRequest()
            try connection.write(okHello)
            try connection.waitForClose()
            closed.send()
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let client = PlainUpstreamClient(eventLoops: [group.next()], idleLimit: .milliseconds(20))
        let request = UpstreamRequest(method: .GET, url: server.url, headers: [:], body: .empty)
        let exchange = Exchange(
            head: RequestHead(method: .GET, target: "/"), eventLoop: group.next(), logger: Logger(label: "test"))
        let response = try await client.send(request, to: #require(PlainTarget.of(request)), in: exchange)
        #expect(response.status == .ok)
        try await closed.wait()
        await client.shutdown()
        server.stop()
        try await group.shutdownGracefully()
    }

    /// The upstream has begun to answer: it has acted on the request.
    @Test func repeatsNothingOnceTheAnswerHasBegun() async throws {
        try await withServer(
            over: [.selecting],
            { connection in
                _ = try connection.readRequest()
                try connection.write(okHello)
                _ = try connection.readRequest()
                try connection.write("H")
                connection.reset()
            }
        ) { upstream in
            _ = try await upstream.body(of: try await upstream.send())
            let error = try await gatewayError { _ = try await upstream.send() }
            #expect(error.code == "upstream_connection_failed")
            #expect(error.retry == .unsafe)
            #expect(upstream.server.connectionCount == 1)
        }
    }

    @Test func closesAConnectionWhoseRequestIsNotOutWhenTheAnswerEnds() async throws {
        let closed = Signal<Void>()
        try await withServer(
            over: [.selecting],
            { connection in
                _ = try connection.readHead()
                try connection.write("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
                closed.send()
                try connection.waitForClose()
            }
        ) { upstream in
            let body = RequestBody(ByteBuffer(repeating: 0, count: 64 << 20))
            let response = try await upstream.send(.POST, body: body)
            #expect(response.status == .payloadTooLarge)
            try await closed.wait()
            _ = try await upstream.body(of: try await upstream.send())
            #expect(upstream.server.connectionCount == 2)
        }
    }

    @Test func looksNamesUp() async throws {
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write(okHello)
        }) { upstream in
            let url = "http://localhost:\(upstream.server.port)/"
            let response = try await upstream.send(
                UpstreamRequest(method: .GET, url: url, headers: [:], body: .empty))
            #expect(response.status == .ok)
            let error = try await gatewayError {
                _ = try await upstream.send(
                    UpstreamRequest(method: .POST, url: "http://upstream.invalid/", headers: [:], body: .empty))
            }
            #expect(error.code == "upstream_unreachable")
            #expect(error.retry == .safe)
        }
    }

    @Test func endsAConnectionThatIsHalfClosedBeforeTheAnswer() async throws {
        try await withServer({ connection in
            _ = try connection.readRequest()
            connection.closeOutput()
            try connection.waitForClose()
        }) { upstream in
            let error = try await gatewayError { _ = try await upstream.send(.POST) }
            #expect(error.code == "upstream_connection_failed")
            #expect(error.retry == .unsafe)
        }
    }

    @Test func holdsAnUploadToItsLength() {
        var exact = UploadProgress(length: 3)
        #expect(exact.received(1) == .ignore)
        exact.start()
        #expect(exact.received(2) == .send)
        #expect(exact.received(1) == .send)
        #expect(exact.ended() == .finish)
        #expect(exact.ended() == .ignore)
        var short = UploadProgress(length: 3)
        short.start()
        #expect(short.received(2) == .send)
        #expect(short.ended() == .broken)
        var long = UploadProgress(length: 3)
        long.start()
        #expect(long.received(4) == .broken)
        #expect(long.received(1) == .ignore)
        var unknown = UploadProgress(length: nil)
        unknown.start()
        #expect(unknown.received(1 << 40) == .send)
        #expect(unknown.ended() == .finish)
    }

    @Test func givesTheConnectionThatWasUsedLast() {
        final class Stub {}
        var idle = IdleConnections<Stub>()
        let (here, there) = (PlainTarget.Origin(host: "a", port: 1), PlainTarget.Origin(host: "a", port: 2))
        let (first, second, other) = (Stub(), Stub(), Stub())
        idle.put(first, here)
        idle.put(second, here)
        idle.put(other, there)
        #expect(idle.take(here) === second)
        idle.remove(first, here)
        #expect(idle.take(here) == nil)
        idle.remove(first, here)
        #expect(idle.count == 1)
        #expect(idle.all.first === other)
    }
}
