import NIOCore
import NIOHTTP1
import Testing
import TurnpikeKit

@testable import Upstream

/// Answers, from the simple one to the broken one.
@Suite(.timeLimit(.minutes(5)))
struct AnswerTests {
    @Test func returnsStatusHeadersAndBody() async throws {
        let answer =
            "HTTP/1.1 201 Created\r\nX-One: 1\r\nx-TWO:  two \r\nX-One: again\r\nContent-Length: 5\r\n\r\nhello"
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write(answer)
        }) { upstream in
            let response = try await upstream.send()
            #expect(response.status == .created)
            let headers = response.headers.map { "\($0.name)=\($0.value)" }
            #expect(headers == ["X-One=1", "x-TWO=two", "X-One=again", "Content-Length=5"])
            #expect(try await upstream.body(of: response) == Array("hello".utf8))
        }
    }

    @Test func dropsOnlyWhatConcernsTheConnection() async throws {
        let answer = """
            HTTP/1.1 200 OK\r\nConnection: close, X-Private\r\nKeep-Alive: timeout=5\r\nX-Private: 1\r\nUpgrade: h2c\r
            Proxy-Authenticate: Basic\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\nX-Public: 2\r\n\r\n0\r\n\r\n
            """
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write(answer)
        }) { upstream in
            let response = try await upstream.send()
            #expect(response.headers.map { $0.name } == ["X-Public"])
        }
    }

    @Test(arguments: ["HEAD", "GET 204", "GET 304"])
    func expectsNoBodyWhereThereIsNone(_ kind: String) async throws {
        let status = kind.split(separator: " ").last.map(String.init) ?? ""
        let code = kind == "HEAD" ? "200" : status
        try await withServer({ connection in
            while true {
                _ = try connection.readRequest()
                let length = code == "204" ? "" : "Content-Length: 99\r\n"
                try connection.write("HTTP/1.1 \(code) X\r\n\(length)\r\n")
            }
        }) { upstream in
            for _ in 0..<2 {
                let response = try await upstream.send(kind == "HEAD" ? .HEAD : .GET)
                #expect(try await upstream.body(of: response).isEmpty)
                if code != "204" { #expect(response.headers["content-length"] == ["99"]) }
            }
            #expect(upstream.server.connectionCount == 1)
        }
    }

    @Test func skipsInformationalAnswersAndTrailers() async throws {
        let answer =
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
            + "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n"
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write(answer)
        }) { upstream in
            let response = try await upstream.send()
            #expect(response.status == .ok)
            #expect(response.headers.isEmpty)
            #expect(try await upstream.body(of: response) == Array("hi".utf8))
        }
    }

    @Test func readsChunksThatComeByteByByte() async throws {
        let answer =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"
        try await withServer({ connection in
            _ = try connection.readRequest()
            for byte in answer.utf8 { try connection.write([byte]) }
            try connection.waitForClose()
        }) { upstream in
            let response = try await upstream.send()
            #expect(try await upstream.body(of: response) == Array("hello world".utf8))
        }
    }

    @Test func givesTheHeadBeforeTheBodyIsThere() async throws {
        let go = Gate()
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            go.wait()
            try connection.write("data: 1\n\n")
        }) { upstream in
            let response = try await upstream.send()
            #expect(response.isEventStream)
            go.open()
            #expect(try await upstream.body(of: response) == Array("data: 1\n\n".utf8))
        }
    }

    // With the fault after 0, 1, 2 … bytes, until the answer is whole. libcurl is content without the very last line
    // feed of a chunked one: by then the last chunk has come.
    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ])
    func reportsAnAnswerThatIsCutAtAnyByte(_ answer: String) async throws {
        let bytes = Array(answer.utf8)
        let headCount = try #require(bytes.firstRange(of: Array("\r\n\r\n".utf8))).upperBound
        let cut = Atomic64()
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write(Array(bytes[..<cut.value]))
        }) { upstream in
            let needed = upstream.kind == .curl && answer.contains("chunked") ? bytes.count - 1 : bytes.count
            for count in 0..<needed {
                cut.value = count
                var hadHead = false
                let error = try await gatewayError {
                    let response = try await upstream.send(.POST, body: RequestBody(ByteBuffer(string: "x")))
                    hadHead = true
                    _ = try await upstream.body(of: response)
                }
                #expect(error.code == "upstream_connection_failed", "cut after \(count) bytes")
                #expect(error.status == .badGateway)
                #expect(error.source == .upstream)
                #expect(error.retry == .unsafe)
                #expect(hadHead == (count >= headCount), "cut after \(count) bytes")
            }
            cut.value = bytes.count
            #expect(try await upstream.body(of: try await upstream.send()) == Array("hello".utf8))
        }
    }

    @Test func takesTheEndOfAnUnframedBodyAsItsEndAndAResetAsAFailure() async throws {
        try await withServer({ connection in
            let request = try connection.readRequest()
            try connection.write("HTTP/1.0 200 OK\r\n\r\nabc")
            if request.line.contains("/reset") { connection.reset() }
        }) { upstream in
            #expect(try await upstream.body(of: try await upstream.send()) == Array("abc".utf8))
            let error = try await gatewayError {
                _ = try await upstream.body(of: try await upstream.send(.GET, "/reset"))
            }
            #expect(error.code == "upstream_connection_failed")
        }
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\nContent-Length: 0\r\n\r\n",
        "HELLO\r\n\r\n",
        "HTTP/1.1 two\r\nContent-Length: 0\r\n\r\n",
    ])
    func refusesAnAnswerThatCannotBeRead(_ answer: String) async throws {
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write(answer)
            try connection.waitForClose()
        }) { upstream in
            let error = try await gatewayError {
                _ = try await upstream.body(of: try await upstream.send())
            }
            #expect(error.status == .badGateway)
            #expect(error.code == "upstream_protocol_error", "\(error.debugDescription)")
        }
    }

    @Test func refusesAHeadWithoutEnd() async throws {
        let line = "X: " + String(repeating: "y", count: 1000) + "\r\n"
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write("HTTP/1.1 200 OK\r\n")
            for _ in 0..<1000 { try connection.write(line) }
        }) { upstream in
            let error = try await gatewayError { _ = try await upstream.send() }
            #expect(error.code == "upstream_protocol_error")
        }
    }

    @Test func followsNoRedirectAndDecodesNothing() async throws {
        let bytes: [UInt8] = [0x1f, 0x8b, 8, 0, 1, 2, 3]
        try await withServer({ connection in
            _ = try connection.readRequest()
            let head = "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\n"
            try connection.write(Array(head.utf8) + bytes)
        }) { upstream in
            let response = try await upstream.send()
            #expect(response.status == .found)
            #expect(response.headers.first(name: "location") == "/x")
            #expect(try await upstream.body(of: response) == bytes)
        }
    }
}
