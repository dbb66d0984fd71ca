import NIOCore
import NIOHTTP1
import Server
import Testing
import TurnpikeKit

/// Ordinary requests over raw sockets: framing of answers, keep-alive, pipelining.
@Suite(.timeLimit(.minutes(5))) struct KeepAliveTests {
    @Test func answersOnOneConnectionAgainAndAgain() async throws {
        try await TestServer.with(echo) { server in
            let client = try await server.connect()
            for number in 0..<3 {
                try await client.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nn\(number)")
                _ = try await client.receive { $0.contains("n\(number)") }
            }
            try await client.close()
            let outcomes = await server.handler.outcomes(3)
            #expect(outcomes.map(\.word) == ["completed", "completed", "completed"])
            #expect(outcomes.allSatisfy { $0.requestBytes == 2 && $0.responseBytes == 2 && $0.status == 200 })
        }
    }

    @Test func writesHeadAndFramingItself() async throws {
        try await TestServer.with(greeting) { server in
            let answer = try await server.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\nDate: "))
            #expect(answer.contains("\r\nx-turnpike-request-id: req_"))
            #expect(answer.hasSuffix("\r\n\r\nok"))
        }
    }

    @Test func aRequestIDOfSomebodyElseIsNotPassedOn() async throws {
        try await TestServer.with({ _, _ in
            Response(status: .ok, headers: ["X-Turnpike-Request-ID": "theirs"], body: .empty)
        }) { server in
            let answer = try await server.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            #expect(answer.contains("\r\nx-turnpike-request-id: req_") && !answer.contains("theirs"))
        }
    }

    @Test func answersPipelinedRequestsInOrder() async throws {
        try await TestServer.with({ request, exchange in
            // The first is the slowest: order must not come from chance.
            if request.head.target == "/0" { for _ in 0..<100 { await Task.yield() } }
            return Response(status: .ok, body: .bytes(ByteBuffer(string: request.head.target)))
        }) { server in
            let client = try await server.connect()
            try await client.send((0..<5).map { "GET /\($0) HTTP/1.1\r\nHost: h\r\n\r\n" }.joined())
            let all = try await client.receive { $0.hasSuffix("/4") }
            let order = all.split(separator: "\r\n\r\n").dropFirst().map { $0.prefix(2) }
            #expect(order == ["/0", "/1", "/2", "/3", "/4"])
            try await client.close()
        }
    }

    @Test func answersAThousandPipelinedRequestsWithBodies() async throws {
        try await TestServer.with(echo) { server in
            let client = try await server.connect()
            let one = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"
            try await client.send((100..<1100).map { "\(one)\($0 % 1000 + 1000)".replacingLast() }.joined())
            let outcomes = await server.handler.outcomes(1000)
            #expect(outcomes.count == 1000)
            try await client.close()
        }
    }

    @Test(arguments: ["chunked", "length"]) func takesRequestsByteByByte(_ kind: String) async throws {
        let request =
            kind == "length"
            ? "POST /x?y=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
            : "POST /x?y=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: t\r\n\r\n"
        try await TestServer.with(echo) { server in
            let client = try await server.connect()
            try await client.sendByteByByte(request)
            #expect(await client.receiveAll().hasSuffix("\r\n\r\nhello"))
            #expect(server.handler.begun.map(\.target) == ["/x?y=1"])
        }
    }

    @Test func closesAfterHTTP10UnlessAskedToStay() async throws {
        try await TestServer.with(greeting) { server in
            let closing = try await server.exchange("GET / HTTP/1.0\r\n\r\n")
            #expect(closing.hasSuffix("ok"))
            let client = try await server.connect()
            try await client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            let first = try await client.receive { $0.hasSuffix("ok") }
            #expect(first.contains("Connection: keep-alive\r\n"))
            try await client.send("GET / HTTP/1.0\r\n\r\n")
            #expect(await client.receiveAll().hasSuffix("ok"))
        }
    }

    @Test func streamsToHTTP10UntilTheConnectionEnds() async throws {
        try await TestServer.with({ _, exchange in
            let source = ScriptedSource(on: exchange.eventLoop, initial: ["a", "b"], ending: .complete)
            return Response(status: .ok, body: .stream(source))
        }) { server in
            let answer = try await server.exchange("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            #expect(answer.hasSuffix("\r\n\r\nab"))
            #expect(answer.contains("Connection: close\r\n"))
            #expect(!answer.contains("chunked"))
        }
    }

    @Test(arguments: ["HEAD", "204", "304"]) func sendsNoBodyWhereNoneIsAllowed(_ kind: String) async throws {
        try await TestServer.with({ _, _ in
            let status = kind == "HEAD" ? HTTPResponseStatus.ok : HTTPResponseStatus(statusCode: Int(kind)!)
            return Response(status: status, body: .bytes(ByteBuffer(string: "body")))
        }) { server in
            let client = try await server.connect()
            try await client.send("\(kind == "HEAD" ? "HEAD" : "GET") / HTTP/1.1\r\nHost: h\r\n\r\n")
            try await client.send("GET /second HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            let all = await client.receiveAll()
            let parts = all.components(separatedBy: "HTTP/1.1 ")
            #expect(parts.count == 3)
            #expect(parts[1].hasSuffix("\r\n\r\n"))
            #expect(parts[1].contains("Content-Length: 4\r\n") == (kind != "204"))
        }
    }

    @Test func dropsHeadersThatWouldSplitTheAnswer() async throws {
        try await TestServer.with({ _, _ in
            Response(
                status: .ok,
                headers: [
                    "X-A": "a\r\nX-Evil: b", "X-B\r\nX-Evil": "b", "X-Evil D": "d", "X-Evil:": "e", "": "Evil",
                    "X-C": "c", "Connection": "upgrade", "Transfer-Encoding": "x", "TE": "x",
                    "Proxy-Connection": "x",
                ],
                body: .bytes(ByteBuffer(string: "ok")))
        }) { server in
            let answer = try await server.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            #expect(answer.contains("X-C: c\r\n"))
            #expect(!answer.contains("Evil") && !answer.contains("upgrade") && !answer.contains(": x\r\n"))
        }
    }
}

extension String {
    fileprivate func components(separatedBy mark: String) -> [String] {
        var parts = [""]
        var rest = self[...]
        while let range = rest.firstRange(of: mark) {
            parts[parts.count - 1] += rest[..<range.lowerBound]
            parts.append("")
            rest = rest[range.upperBound...]
        }
        parts[parts.count - 1] += rest
        return parts
    }

    /// Four digits at the end become three.
    fileprivate func replacingLast() -> String { String(dropLast()) }
}
