import NIOCore
import NIOHTTP1
import Testing
import TurnpikeKit

@testable import Upstream

/// Answers as bytes: whole, byte by byte, joined with what follows, cut short, and such as nobody may accept.
@Suite struct ResponseDecoderTests {
    struct Expected: Sendable {
        var text: String
        var isHEAD = false
        var status = 200
        var body = ""
        var isPersistent = true
        var names: [String] = []
    }

    /// What a decoder made of its input.
    struct Read {
        var status: Int?
        var names: [String] = []
        var body = ByteBuffer()
        var isOver = false
        var refusal: GatewayError?
        var left = 0
    }

    static let accepted: [Expected] = [
        Expected(text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", body: "hello", names: ["Content-Length"]),
        Expected(text: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", names: ["Content-Length"]),
        Expected(
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\n\r\n",
            body: "hello world"),
        Expected(
            text:
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00A  \r\n0123456789\r\n000\r\nX: y\r\nZ: 1\r\n\r\n",
            body: "0123456789"),
        Expected(
            text:
                "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 C\r\nContent-Length: 1\r\n\r\nx",
            status: 201, body: "x", names: ["Content-Length"]),
        Expected(text: "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", status: 204, names: ["Content-Length"]),
        Expected(text: "HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", status: 304, names: ["Content-Length"]),
        Expected(text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", isHEAD: true, names: ["Content-Length"]),
        Expected(text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", isHEAD: true),
        Expected(
            text: "HTTP/1.1 200 OK\r\nConnection: x, close\r\nX: 1\r\nContent-Length: 2\r\n\r\nok", body: "ok",
            isPersistent: false, names: ["Content-Length"]),
        Expected(
            text: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", body: "ok", isPersistent: false,
            names: ["Content-Length"]),
        Expected(
            text: "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", body: "ok",
            names: ["Content-Length"]),
        // Two framings: the chunks count, and the connection is not trusted any further.
        Expected(
            text: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            body: "ok",
            isPersistent: false),
        Expected(
            text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\nok", body: "ok",
            names: ["Content-Length"]),
        Expected(text: "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", body: "ok", names: ["Content-Length"]),
        Expected(
            text: "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nHTTP: 1\r\nContent-Length: 0\r\n\r\n",
            names: ["X", "HTTP", "Content-Length"]),
    ]

    @Test(arguments: accepted) func readsAnAnswerHoweverItIsCut(_ expected: Expected) {
        for size in [1, 2, 3, 7, 1000] {
            let (read, decoder) = read(expected.text, isHEAD: expected.isHEAD, piecesOf: size)
            #expect(read.status == expected.status)
            #expect(String(buffer: read.body) == expected.body)
            #expect(read.names == expected.names)
            #expect(read.isOver, "in pieces of \(size)")
            #expect(decoder.isPersistent == expected.isPersistent)
            #expect(decoder.connectionEnded() == .complete)
        }
    }

    @Test(arguments: accepted) func takesNothingOfWhatFollows(_ expected: Expected) {
        let next = "HTTP/1.1 500 Other\r\n\r\n"
        let (read, _) = read(expected.text + next, isHEAD: expected.isHEAD, piecesOf: 1000)
        #expect(read.status == expected.status)
        #expect(String(buffer: read.body) == expected.body)
        #expect(read.left == next.utf8.count)
    }

    @Test(arguments: accepted) func isNotCompleteBeforeItsEnd(_ expected: Expected) {
        for count in 0..<expected.text.utf8.count {
            let text = String(decoding: Array(expected.text.utf8)[..<count], as: UTF8.self)
            let (read, decoder) = read(text, isHEAD: expected.isHEAD, piecesOf: 1000)
            #expect(!read.isOver)
            #expect(read.refusal == nil)
            #expect(!decoder.isPersistent)
            #expect(decoder.connectionEnded() != .complete, "cut after \(count) bytes")
        }
    }

    @Test func readsAnUnframedBodyToTheEndOfTheConnection() {
        let (read, decoder) = read("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nabc", isHEAD: false, piecesOf: 5)
        #expect(String(buffer: read.body) == "abc")
        #expect(!read.isOver)
        #expect(!decoder.isPersistent)
        #expect(decoder.connectionEnded() == .complete)
    }

    @Test(arguments: [
        "HELLO\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/1.1 two\r\n", "HTTP/1.1 99 X\r\n", "HTTP/1.1 101 Switching\r\n", "http/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n", "HTTP/1.1 200 OK\r\n: x\r\n", "HTTP/1.1 200 OK\r\n x: 1\r\n",
        "HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: b\0c\r\n", "HTTP/1.1 200 OK\r\nA: b\rc\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n", "HTTP/1.1 200 OK\r\nContent Length: 5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ])
    func refusesAHeadThatCanBeReadInTwoWays(_ text: String) { expectRefusal(text) }

    @Test(arguments: [
        "x\r\n", "\r\n", " 5\r\n", "+5\r\n", "-5\r\n", "0x5\r\n", "5\n", "5\r\r\n", "5 x\r\n", "5;a\rb\r\n", "5,\r\n",
        "1000000000000000\r\n", "3\r\nabcd\r\n", "3\r\nabc\n0\r\n\r\n", "3\r\nabc0\r\n\r\n", "3\r\nab\r\n0\r\n\r\n",
    ])
    func refusesChunksThatCanBeReadInTwoWays(_ chunks: String) {
        expectRefusal("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    }

    @Test func boundsWhatHasNoEnd() {
        let much = String(repeating: "a", count: ResponseHeadParser.maxBytes)
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        expectRefusal(much + "b", piecesOf: [100_000])
        expectRefusal("HTTP/1.1 200 OK\r\nA: " + much, piecesOf: [100_000])
        expectRefusal(chunked + "1;" + much.prefix(ResponseDecoder.maxChunkLine), piecesOf: [1000])
        expectRefusal(chunked + "0\r\n" + String(repeating: "A: b\r\n", count: 50_000), piecesOf: [100_000])
    }

    private func expectRefusal(_ text: String, piecesOf sizes: [Int] = [1, 3, 1000]) {
        for size in sizes {
            let (read, decoder) = read(text, isHEAD: false, piecesOf: size)
            #expect(read.refusal?.code == "upstream_protocol_error", "in pieces of \(size)")
            #expect(!decoder.isPersistent)
        }
    }

    private func read(_ text: String, isHEAD: Bool, piecesOf size: Int) -> (Read, ResponseDecoder) {
        var decoder = ResponseDecoder(isHEAD: isHEAD)
        var read = Read()
        var rest = ByteBuffer(string: text)
        while var piece = rest.readSlice(length: min(size, rest.readableBytes)), piece.readableBytes > 0 {
            take(&piece, &decoder, &read)
            read.left = piece.readableBytes + rest.readableBytes
            if read.isOver || read.refusal != nil { break }
        }
        return (read, decoder)
    }

    private func take(_ piece: inout ByteBuffer, _ decoder: inout ResponseDecoder, _ read: inout Read) {
        while true {
            switch decoder.next(&piece) {
            case .needsMore: return
            case .head(let head):
                read.status = head.status
                read.names = head.headers.map(\.name)
            case .bytes(let bytes): read.body.writeImmutableBuffer(bytes)
            case .end:
                read.isOver = true
                return
            case .refuse(let error):
                read.refusal = error
                return
            }
        }
    }
}
