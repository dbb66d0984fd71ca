import Glibc
import NIOCore
import NIOHTTP1
import Synchronization
import Testing
import TurnpikeKit

@testable import Upstream

/// What goes out: the request line, the headers, the body.
@Suite(.timeLimit(.minutes(5)))
struct RequestTests {
    /// Sends one request to a server that answers with `okHello` and returns what the server got.
    private func received(
        _ method: HTTPMethod, headers: HTTPHeaders = [:], body: @autoclosure () -> RequestBody = .empty,
        path: String = "/"
    ) async throws -> ServerConnection.Request {
        let requests = Signal<ServerConnection.Request>()
        var request: ServerConnection.Request?
        try await withServer({ connection in
            requests.send(try connection.readRequest())
            try connection.write(method == .HEAD ? "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" : okHello)
        }) { upstream in
            let response = try await upstream.send(method, path, headers: headers, body: body())
            #expect(response.status == .ok)
            request = try await requests.wait()
        }
        return try #require(request)
    }

    @Test(arguments: [HTTPMethod.GET, .HEAD, .POST, .PUT, .PATCH, .DELETE, .OPTIONS, .RAW(value: "QUERY")])
    func sendsEveryMethodWithoutABody(_ method: HTTPMethod) async throws {
        let request = try await received(method)
        #expect(request.line == "\(method.rawValue) / HTTP/1.1")
        let promisesBody = [HTTPMethod.POST, .PUT, .PATCH].contains(method)
        #expect(request.values("Content-Length") == (promisesBody ? ["0"] : []))
        #expect(request.headers.count == (promisesBody ? 2 : 1), "\(request.headers)")
    }

    @Test(arguments: [HTTPMethod.GET, .HEAD, .POST, .PUT, .PATCH, .DELETE, .OPTIONS])
    func sendsEveryMethodWithABody(_ method: HTTPMethod) async throws {
        let request = try await received(method, body: RequestBody(ByteBuffer(string: "{\"a\":1}")))
        #expect(request.line == "\(method.rawValue) / HTTP/1.1")
        #expect(String(decoding: request.body, as: UTF8.self) == "{\"a\":1}")
        #expect(request.headers.count == 2, "\(request.headers)")
    }

    @Test(arguments: [HTTPMethod.GET, .POST, .PUT, .PATCH, .DELETE])
    func streamsABodyWithEveryMethod(_ method: HTTPMethod) async throws {
        let known = try await received(method, body: .pieces(["ab", "cde"], length: 5))
        #expect(known.values("Content-Length") == ["5"])
        #expect(known.body == Array("abcde".utf8))
        let unknown = try await received(method, body: .pieces(["ab", "cde"], length: nil))
        #expect(unknown.line == "\(method.rawValue) / HTTP/1.1")
        #expect(unknown.values("Transfer-Encoding") == ["chunked"])
        #expect(unknown.headers.count == 2, "\(unknown.headers)")
        #expect(unknown.body == Array("abcde".utf8))
    }

    @Test func sendsTheGivenHeadersOnlyAndAsTheyAre() async throws {
        let headers: HTTPHeaders = [
            "authorization": "Bearer k", "X-Empty": "", "ACCEPT": "text/event-stream", "X-Twice": "1", "x-twice": "2",
            "Host": "evil.example", "Content-Length": "99", "Transfer-Encoding": "chunked", "Connection": "upgrade",
        ]
        let request = try await received(.POST, headers: headers, body: RequestBody(ByteBuffer(string: "hello")))
        let names = request.headers.filter { !$0.hasPrefix("Host: 127.0.0.1:") }
        #expect(
            names.sorted() == [
                "ACCEPT: text/event-stream", "Content-Length: 5", "X-Empty:", "X-Twice: 1", "authorization: Bearer k",
                "x-twice: 2",
            ])
        #expect(request.values("host").count == 1)
    }

    @Test func headersThatAreNotUTF8PassBothWays() async throws {
        let bytes: [UInt8] = [0x63, 0xE9, 0x20, 0xC3, 0x28]
        let value = bytes.withUnsafeBytes { OpaqueText.string($0) }
        let sent = Signal<[UInt8]>()
        try await withServer({ connection in
            let expected = Array("GET / HTTP/1.1\r\nHost: ".utf8).count
            sent.send(try connection.read(exactly: expected) + (connection.read() ?? []))
            try connection.write(
                Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: ".utf8) + bytes + [13, 10, 13, 10])
        }) { upstream in
            let answer = try await upstream.send(headers: ["X-A": value])
            #expect(answer.headers["X-A"] == [value])
            let request = try await sent.wait()
            #expect(request.contains(Array("X-A: ".utf8) + bytes + [13, 10]))
        }
    }

    @Test func leavesThePathAsItIs() async throws {
        let path = "/v1/../a%2Fb//./c?x=%20&y=../z"
        #expect(try await received(.GET, path: path).line == "GET \(path) HTTP/1.1")
    }

    @Test(arguments: ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"])
    func refusesAHeaderThatWouldAddAnother(_ value: String) async throws {
        try await withServer({ try $0.write(okHello) }) { upstream in
            for headers: HTTPHeaders in [["X-A": value], ["X\(value)": "1"]] {
                let error = try await gatewayError { _ = try await upstream.send(headers: headers) }
                #expect(error.code == "upstream_request_invalid")
                #expect(error.retry == .pointless)
                #expect(!error.debugDescription.contains(value))
            }
            let error = try await gatewayError { _ = try await upstream.send(.RAW(value: "GET\(value)")) }
            #expect(error.code == "upstream_request_invalid")
            #expect(upstream.server.connectionCount == 0)
        }
    }

    @Test(arguments: [
        "", "http://", "ftp://127.0.0.1/", "file:///etc/passwd", "http://127.0.0.1/a b", "http://127.0.0.1/\r\nX: 1",
        "http://127.0.0.1:99999/", "http://[::1/", "127.0.0.1", "http:///x",
    ])
    func refusesABadURL(_ url: String) async throws {
        try await withServer({ try $0.write(okHello) }) { upstream in
            let error = try await gatewayError {
                _ = try await upstream.send(UpstreamRequest(method: .GET, url: url, headers: [:], body: .empty))
            }
            #expect(error.code == "upstream_request_invalid", "\(error.debugDescription)")
            #expect(error.retry == .pointless)
        }
    }

    @Test func refusesToStreamABodyWithAHeadRequest() async throws {
        try await withServer({ try $0.write(okHello) }) { upstream in
            let error = try await gatewayError { _ = try await upstream.send(.HEAD, body: .pieces(["a"], length: 1)) }
            #expect(error.code == "body_not_allowed")
        }
    }

    @Test func cancelsTheBodyOfARequestThatItRefuses() async throws {
        try await withServer({ try $0.write(okHello) }) { upstream in
            let source = ScriptedSource()
            await #expect(throws: GatewayError.self) {
                _ = try await upstream.send(
                    .POST, headers: ["A": "\n"], body: RequestBody(source: source, declaredLength: 1))
            }
            try await source.cancelled.wait()
        }
    }

    /// The second time the server waits until the client, whose socket is writable all the time, has asked its source for
    /// more and has paused.
    @Test(arguments: [0, 100]) func givesAnEarlyAnswerToAStreamedBody(pauseMilliseconds: Int) async throws {
        try await withServer({ connection in
            _ = try connection.readHead()
            // An answer that comes before the body has begun ends it unread.
            _ = try connection.read(exactly: "4\r\nsome\r\n".utf8.count)
            if pauseMilliseconds > 0 {
                connection.setTimeout(SO_RCVTIMEO, milliseconds: pauseMilliseconds)
                _ = connection.read()
                connection.setTimeout(SO_RCVTIMEO, milliseconds: 10_000)
            }
            try connection.write("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            try connection.waitForClose()
        }) { upstream in
            let source = ScriptedSource()
            async let response = upstream.send(.POST, body: RequestBody(source: source, declaredLength: nil))
            let sink = try await source.started.wait()
            sink.receive(ByteBuffer(string: "some"))
            let answer = try await response
            #expect(answer.status == .payloadTooLarge)
            #expect(try await upstream.body(of: answer) == Array("no".utf8))
            try await source.cancelled.wait()
        }
    }

    @Test func carriesEightMegabytesBothWays() async throws {
        let bytes = pattern(8 << 20)
        try await withServer({ connection in
            while true {
                let request = try connection.readRequest()
                try connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(request.body.count)\r\n\r\n")
                try connection.write(request.body)
            }
        }) { upstream in
            let whole = try await upstream.send(.POST, body: RequestBody(ByteBuffer(bytes: bytes)))
            #expect(try await upstream.body(of: whole) == bytes)
            for length in [bytes.count, nil] {
                let source = ScriptedSource()
                async let response = upstream.send(.POST, body: RequestBody(source: source, declaredLength: length))
                try await source.push(bytes, pieceSize: 100_000)
                let answer = try await response
                #expect(try await upstream.body(of: answer) == bytes)
                // The source was held back while the upstream was slower than it.
                #expect(source.mostUnread <= UploadBuffer.highWatermark + 100_000)
            }
            #expect(upstream.server.connectionCount == 1)
        }
    }

    @Test func keepsTheBytesItSendsWhenTheirOwnerGoesOnWriting() async throws {
        let ready = Gate()
        let received = Signal<[UInt8]>()
        let bytes = pattern(4 << 20)
        try await withServer({ connection in
            _ = try connection.readHead()
            ready.wait()
            received.send(try connection.read(exactly: bytes.count))
            try connection.write(okHello)
        }) { upstream in
            var buffer = ByteBuffer(bytes: bytes)
            let body = RequestBody(buffer)
            async let response = upstream.send(.POST, body: body)
            buffer.setRepeatingByte(0, count: bytes.count, at: 0)
            ready.open()
            #expect(try await received.wait() == bytes)
            let answer = try await response
            #expect(answer.status == .ok)
        }
    }

    @Test func reportsWhatEndedAStreamedBody() async throws {
        let arrived = Signal<Void>()
        let closed = Signal<Void>()
        try await withServer({ connection in
            _ = try connection.readHead()
            arrived.send()
            try connection.waitForClose()
            closed.send()
        }) { upstream in
            let source = ScriptedSource()
            async let error = gatewayError {
                _ = try await upstream.send(.POST, body: RequestBody(source: source, declaredLength: nil))
            }
            let sink = try await source.started.wait()
            sink.receive(ByteBuffer(string: "half"))
            // Before that there may be no connection that could be closed.
            try await arrived.wait()
            sink.end(.failed(.clientLeft))
            let code = try await error.code
            #expect(code == GatewayError.clientLeft.code)
            try await closed.wait()
        }
    }

    @Test func neverCompletesABodyThatIsShorterThanPromised() async throws {
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write(okHello)
        }) { upstream in
            let error = try await gatewayError {
                _ = try await upstream.send(.POST, body: .pieces(["abc"], length: 5))
            }
            #expect(error.code == "request_body_incomplete")
            #expect(error.source == .client)
        }
    }
}
