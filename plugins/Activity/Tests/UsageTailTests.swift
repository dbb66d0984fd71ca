import NIOCore
import OpenAIWire
import Testing

@testable import ActivityPlugin

@Suite struct UsageTailTests {
    private static let usage =
        #""usage":{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17,"prompt_tokens_details":{"cached_tokens":8}}"#
    private static let expected = Usage(prompt: 12, completion: 5, total: 17, cachedPrompt: 8)

    private func usage(_ text: String, pieces: Int = Int.max) -> Usage? {
        let tail = UsageTail()
        var bytes = ByteBuffer(string: text)
        while let piece = bytes.readSlice(length: min(pieces, bytes.readableBytes)), piece.readableBytes > 0 {
            tail.append(piece)
        }
        return tail.usage
    }

    @Test(arguments: [1, 7, 1_000, 5_000, Int.max])
    func findsTheCountsBehindALongAnswerInPiecesOfAnySize(pieces: Int) {
        let json =
            #"{"choices":[{"message":{"content":""# + String(repeating: "x", count: 20_000) + "\"}}]," + Self.usage
            + #","service_tier":"default"}"#
        #expect(usage(json, pieces: pieces) == Self.expected)
    }

    @Test(arguments: [1, 64, Int.max])
    func findsTheCountsInTheLastEventsOfAStream(pieces: Int) {
        let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n"
        let stream =
            String(repeating: chunk, count: 300) + "data: {\"choices\":[]," + Self.usage + "}\n\ndata: [DONE]\n\n"
        #expect(usage(stream, pieces: pieces) == Self.expected)
    }

    @Test func isNotMisledByATextThatSpeaksOfUsage() {
        let json = #"{"# + Self.usage + #","choices":[{"message":{"content":"say \"usage\":{\"prompt_tokens\":1}"}}]}"#
        #expect(usage(json) == Self.expected)
    }

    @Test(arguments: [
        "", "{}", #"{"usage":null}"#, #"{"usage":{"prompt_tokens":1"#, #""usage""#, #""usage":"#, "\u{1f}\u{8b}\u{8}",
    ])
    func findsNothingWhereNothingIsSaid(text: String) {
        #expect(usage(text) == nil)
    }
}
