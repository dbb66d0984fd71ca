import NIOCore
import NIOHTTP1
import Server
import Testing
import TurnpikeKit

/// Requests that two readers could read differently are refused and their connection is closed: whole and byte by byte.
@Suite(.timeLimit(.minutes(5))) struct FramingTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let status: Int
        let request: String
        var testDescription: String { name }

        init(_ name: String, _ status: Int = 400, _ request: String) {
            self.name = name
            self.status = status
            self.request = request
        }

        static func post(_ name: String, _ fields: String, _ body: String = "", status: Int = 400) -> Case {
            Case(name, status, "POST / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n\r\n\(body)")
        }
        static func get(_ name: String, _ line: String, _ fields: String = "Host: h\r\n", status: Int = 400) -> Case {
            Case(name, status, "\(line)\r\n\(fields)\r\n")
        }
    }

    static let lengths: [Case] = [
        .post("length and chunked", "Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        .post("chunked and length", "Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
        .post("two lengths", "Content-Length: 3\r\nContent-Length: 4", "abc"),
        .post("the same length twice", "Content-Length: 3\r\nContent-Length: 3", "abc"),
        .post("a list of lengths", "Content-Length: 3, 3", "abc"),
        .post("a length with a plus", "Content-Length: +3", "abc"),
        .post("a negative length", "Content-Length: -3", "abc"),
        .post("a length with a space inside", "Content-Length: 3 3", "abc"),
        .post("a length with a tab inside", "Content-Length: 3\t3", "abc"),
        .post("a length with a tab behind it", "Content-Length: 3\t", "abc"),
        .post("a length of spaces", "Content-Length:   ", "abc"),
        .post("a length behind a form feed", "Content-Length: \u{C}3", "abc"),
        .post("two lengths, one with a space", "Content-Length: 3 \r\nContent-Length: 3", "abc"),
        .post("a length with a space, and chunked", "Content-Length: 5 \r\nTransfer-Encoding: chunked ", "0\r\n\r\n"),
        .post("a hexadecimal length", "Content-Length: 0x3", "abc"),
        .post("an empty length", "Content-Length:", "abc"),
        .post("a length beyond 64 bits", "Content-Length: 18446744073709551617", "abc"),
        .post("a length of 64 bits", "Content-Length: 18446744073709551615", "abc"),
        .post("a length of 63 bits and more", "Content-Length: 9223372036854775808", "abc"),
        .post("a coding before chunked", "Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
        .post("a coding after chunked", "Transfer-Encoding: chunked, gzip", "0\r\n\r\n"),
        .post("another coding", "Transfer-Encoding: gzip", "abc"),
        .post("identity", "Transfer-Encoding: identity", "abc"),
        .post("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        .post("chunked in two words", "Transfer-Encoding: chunked x", "0\r\n\r\n"),
        .post("an empty coding", "Transfer-Encoding: ", "0\r\n\r\n"),
        .post("something like chunked", "Transfer-Encoding: xchunked", "0\r\n\r\n"),
        Case("chunked in HTTP/1.0", 400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ]

    static let heads: [Case] = [
        .get("a folded line", "GET / HTTP/1.1", "Host: h\r\nX: a\r\n b\r\n"),
        .get("a line folded with a tab", "GET / HTTP/1.1", "Host: h\r\nX: a\r\n\tb\r\n"),
        .get("a folded first line", "GET / HTTP/1.1", " Host: h\r\n"),
        .get("a bare LF", "GET / HTTP/1.1", "Host: h\nX: b\r\n"),
        .get("a bare CR", "GET / HTTP/1.1", "Host: h\rX: b\r\n"),
        .get("CR CR LF", "GET / HTTP/1.1", "Host: h\r\r\nX: b\r\n"),
        Case("a head that ends in a bare LF", 400, "GET / HTTP/1.1\r\nHost: h\r\n\n"),
        .get("NUL in a value", "GET / HTTP/1.1", "Host: h\r\nX: a\u{0}b\r\n"),
        .get("a control character in a value", "GET / HTTP/1.1", "Host: h\r\nX: a\u{1}b\r\n"),
        .get("a space before the colon", "GET / HTTP/1.1", "Host: h\r\nX : a\r\n"),
        .get("a field without a name", "GET / HTTP/1.1", "Host: h\r\n: a\r\n"),
        .get("a field without a colon", "GET / HTTP/1.1", "Host: h\r\nabc\r\n"),
        .get("a field name that is no token", "GET / HTTP/1.1", "Host: h\r\na(b: c\r\n"),
        .get("no Host", "GET / HTTP/1.1", "X: y\r\n"),
        .get("two Hosts", "GET / HTTP/1.1", "Host: h\r\nHost: h\r\n"),
        .get("two Hosts in HTTP/1.0", "GET / HTTP/1.0", "Host: h\r\nHost: i\r\n"),
        .get("an absolute target", "GET http://h/ HTTP/1.1"),
        .get("a star without OPTIONS", "GET * HTTP/1.1"),
        .get("a target without a slash", "GET abc HTTP/1.1"),
        .get("a fragment", "GET /a#b HTTP/1.1"),
        .get("a control character in the target", "GET /a\u{1} HTTP/1.1"),
        .get("a target that is not ASCII", "GET /\u{e9} HTTP/1.1"),
        .get("an unknown method", "FOO / HTTP/1.1"),
        .get("a method in lower case", "get / HTTP/1.1"),
        .get("a tunnel", "CONNECT h:80 HTTP/1.1", status: 501),
        .get("HTTP/1.2", "GET / HTTP/1.2", status: 505),
        .get("HTTP/2.0", "GET / HTTP/2.0", status: 505),
        .get("the HTTP/2 preface", "PRI * HTTP/2.0", "\r\nSM\r\n", status: 400),
        .get("a TLS greeting", "\u{16}\u{3}\u{1}\u{2}"),
        .get("a WebSocket", "GET / HTTP/1.1", "Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", status: 501),
        .get("another expectation", "POST / HTTP/1.1", "Host: h\r\nContent-Length: 1\r\nExpect: tea\r\n", status: 417),
    ]

    /// A byte at a time may take long on a busy machine.
    private let patient: @Sendable (inout ServerConfiguration) -> Void = {
        $0.timeouts.linger = .milliseconds(200)
        $0.timeouts.head = .minutes(5)
    }

    @Test(arguments: lengths + heads, ["whole", "byte by byte"])
    func refusesAndCloses(_ refused: Case, _ delivery: String) async throws {
        try await TestServer.with(echo, patient) { server in
            let client = try await server.connect()
            if delivery == "whole" {
                // What follows must not be taken for a request of its own.
                try await client.send(refused.request + "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
            } else {
                try await client.sendByteByByte(refused.request)
            }
            let answer = await client.receiveAll()
            #expect(answer.hasPrefix("HTTP/1.1 \(refused.status) "))
            #expect(answer.contains("Connection: close\r\n"))
            let shown = try requestID(inHead: answer)
            let quoted = try requestID(inBody: answer)
            #expect(shown == quoted)
            #expect(server.handler.begun.isEmpty)
        }
    }

    @Test(arguments: ["Content-Length: 3 \r\n\r\nabc", "Transfer-Encoding: chunked \r\n\r\n3\r\nabc\r\n0\r\n\r\n"])
    func readsABodyBehindPaddedFraming(_ rest: String) async throws {
        try await TestServer.with(echo) { server in
            let answer = try await server.exchange(
                "POST / HTTP/1.1\r\nHost: h\r\nExpect: \t100-continue \r\n\(rest)"
                    + "GET / HTTP/1.1\r\nHost: h\r\nConnection: close \r\n\r\n")
            #expect(answer.contains("abcHTTP/1.1 200 OK\r\n"))
        }
    }

    @Test(arguments: ["close ", "close\t", " \tclose \t"])
    func closesWhereAPaddedFieldSaysSo(_ value: String) async throws {
        try await TestServer.with(greeting, { $0.timeouts.keepAlive = .milliseconds(200) }) { server in
            let answer = try await server.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection:\(value)\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.contains("\r\nConnection: close\r\n"))
        }
    }

    @Test func whiteSpaceAroundAValueIsNoPartOfIt() async throws {
        try await TestServer.with({ request, _ in
            let values = request.head.headers["X"].joined(separator: "|")
            return Response(status: .ok, body: .bytes(ByteBuffer(string: "<\(values)>")))
        }) { server in
            let answer = try await server.exchange(
                "GET / HTTP/1.1\r\nHost: h\r\nX: \t a b \t\r\nX:\t\r\nX:c\r\nConnection: close\r\n\r\n")
            #expect(answer.hasSuffix("<a b||c>"))
        }
    }

    static let chunks: [Case] = [
        // The parser does not take it for chunked, and refuses it where the body would begin.
        .post("a tab behind the coding", "Transfer-Encoding: chunked\t", "0\r\n\r\n"),
        .post("a bare LF after the size", "Transfer-Encoding: chunked", "3\nabc\r\n0\r\n\r\n"),
        .post("a bare CR after the size", "Transfer-Encoding: chunked", "3\rabc\r\n0\r\n\r\n"),
        .post("a bare LF after the chunk", "Transfer-Encoding: chunked", "3\r\nabc\n0\r\n\r\n"),
        .post("more bytes than the size", "Transfer-Encoding: chunked", "3\r\nabcd\r\n0\r\n\r\n"),
        .post("no size", "Transfer-Encoding: chunked", "\r\nabc\r\n0\r\n\r\n"),
        .post("a negative size", "Transfer-Encoding: chunked", "-3\r\nabc\r\n0\r\n\r\n"),
        .post("a size with 0x", "Transfer-Encoding: chunked", "0x3\r\nabc\r\n0\r\n\r\n"),
        .post("a size beyond 64 bits", "Transfer-Encoding: chunked", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
        .post("a bare LF in an extension", "Transfer-Encoding: chunked", "3;a\nabc\r\n0\r\n\r\n"),
        .post("a folded trailer", "Transfer-Encoding: chunked", "0\r\nA: b\r\n c\r\n\r\n"),
        .post("a bare LF at the end", "Transfer-Encoding: chunked", "0\r\n\n"),
    ]

    @Test(arguments: chunks, ["whole", "byte by byte"])
    func failsABrokenChunkedBodyAndCloses(_ broken: Case, _ delivery: String) async throws {
        try await TestServer.with(echo, patient) { server in
            let client = try await server.connect()
            if delivery == "whole" {
                try await client.send(broken.request)
            } else {
                try await client.sendByteByByte(broken.request)
            }
            let answer = await client.receiveAll()
            #expect(answer.hasPrefix("HTTP/1.1 400 "))
            #expect(answer.contains("Connection: close\r\n"))
            #expect(await server.handler.outcomes(1).map(\.word) == ["refused malformed_request"])
        }
    }

    @Test func answersTheGoodRequestBeforeTheBadOne() async throws {
        try await TestServer.with(greeting, { $0.timeouts.linger = .milliseconds(200) }) { server in
            let answer = try await server.exchange(
                "GET /good HTTP/1.1\r\nHost: h\r\n\r\nGET bad HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.contains("\r\n\r\nokHTTP/1.1 400 Bad Request\r\n"))
        }
    }

    @Test func answersAClientThatOffersHTTP2InHTTP1AndCloses() async throws {
        try await TestServer.with(echo) { server in
            let answer = try await server.exchange(
                "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                    + "HTTP2-Settings: AAMAAABk\r\nContent-Length: 2\r\n\r\nhi")
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.contains("Connection: close\r\n"))
            #expect(answer.hasSuffix("hi"))
        }
    }

    @Test func answersOptionsForTheWholeServer() async throws {
        try await TestServer.with(greeting) { server in
            let answer = try await server.exchange("OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 204 No Content\r\n"))
            #expect(answer.contains("Allow: GET, "))
        }
    }

    private func requestID(inHead answer: String) throws -> Substring {
        let line = try #require(answer.split(separator: "\r\n").first { $0.hasPrefix("x-turnpike-request-id: ") })
        return line.dropFirst("x-turnpike-request-id: ".count)
    }

    private func requestID(inBody answer: String) throws -> Substring {
        let mark = try #require(answer.firstRange(of: #""request_id":""#))
        return answer[mark.upperBound...].prefix { $0 != "\"" }
    }
}
