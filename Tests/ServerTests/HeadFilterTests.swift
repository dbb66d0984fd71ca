import NIOCore
import Testing
import TurnpikeTesting

@testable import Server

/// Headers that are not UTF-8, in heads that come in any pieces.
@Suite struct HeadFilterTests {
    private static let value: [UInt8] =
        [0x63, 0xE9, 0x20, 0xC3, 0x28, 0xF4, 0x8F, 0xBF, 0xA9] + Array(" HTTP/1.1".utf8)
    private static let body: [UInt8] = [0x0D, 0x0A, 0xE9, 0x0A, 0xF4, 0x8F, 0xBF, 0xA9, 0xC3]
    private static let start = "POST /v1/x HTTP/1.1\r\nHost: h\r\nX-A: "

    /// With empty lines before it, which a parser passes over.
    private static var request: [UInt8] {
        Array(("\r\n\n" + start).utf8) + value + Array("\r\nX-B: abc\r\nX-C: ".utf8) + value
            + Array("\r\n\r\n".utf8) + body
    }

    /// What the parser gets. An ASCII piece may end the head without the filter's notice, as it passes unread: then the
    /// connection knows, which is not there in these tests, so the body comes in the piece that ends the head.
    private func rewritten(_ pieces: [[UInt8]]) -> [UInt8] {
        var filter = HeadFilter(limit: 1 << 16)
        return pieces.flatMap { Array(filter.pass(ByteBuffer(bytes: $0)).readableBytesView) }
    }

    private func pieces(of head: [UInt8], upTo most: Int, _ random: inout SeededGenerator) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var rest = head[...]
        while !rest.isEmpty {
            let count = 1 + random.below(min(rest.count, most))
            pieces.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return pieces
    }

    @Test func onlyFieldsAreRewritten() {
        let output = rewritten([Self.request])
        #expect(output.suffix(Self.body.count + 4) == [13, 10, 13, 10] + Self.body)
        #expect(output.starts(with: ("\r\n\n" + Self.start).utf8))
        #expect(String(validating: output.dropLast(Self.body.count), as: UTF8.self) != nil)
        #expect(output.count > Self.request.count)
    }

    @Test func aHeadIsReadAlikeWhereverItIsCut() {
        let (request, whole) = (Self.request, rewritten([Self.request]))
        // The last bytes of the head and the body stay together.
        let last = request.count - Self.body.count - 4
        for cut in 0...last {
            #expect(rewritten([Array(request[..<cut]), Array(request[cut...])]) == whole, "\(cut)")
        }
        var random = SeededGenerator(seed: 11)
        for most in [1, 2, 5, 40] {
            for _ in 0..<200 {
                let pieces = pieces(of: Array(request[..<last]), upTo: most, &random)
                #expect(rewritten(pieces + [Array(request[last...])]) == whole, "\(pieces.map(\.count))")
            }
        }
    }

    @Test func aLineThatNeverEndsIsPassedOnAtTheLimit() {
        var filter = HeadFilter(limit: 100)
        #expect(filter.pass(ByteBuffer(string: "GET / HTTP/1.1\r\nX: ")).readableBytes == 19)
        var passed = 0
        for _ in 0..<300 { passed += filter.pass(ByteBuffer(bytes: [0xE9])).readableBytes }
        #expect(passed >= 200)
    }
}
