import NIOCore
import Testing
import Tokens

struct ImageTests {
    private let counter = TokenCounter(.exact(.o200k))

    /// The tokens of a message with one image, less the message's own.
    private func count(_ file: [UInt8], detail: String = "high") -> TokenCount {
        let url = "data:image/png;base64," + base64(file)
        let message =
            #"{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "\#(url)", "detail": "\#(detail)"}}]}"#
        let count = counter.count(message: ByteBuffer(string: message))
        return TokenCount(count.tokens - TokenCounter.messageOverhead - 1, margin: count.margin)
    }

    /// OpenAI, "Images and vision": 1024 by 1024 are 765 tokens, 2048 by 4096 are 1,105, little detail is 85.
    @Test func countsTheExamplesOfTheGuide() {
        #expect(count(png(1_024, 1_024)).tokens == 765)
        #expect(count(png(2_048, 4_096)).tokens == 1_105)
        #expect(count(png(4_096, 8_192), detail: "low") == TokenCount(85))
    }

    @Test func readsTheSizeFromEachFormat() {
        let bigger = count(png(1_024, 1_024))
        #expect(count(Array("GIF89a".utf8) + [0, 4, 0, 4]) == bigger)
        #expect(count(jpeg(1_024, 1_024)) == bigger)
        #expect(count(Array("RIFF....WEBPVP8 ........".utf8) + [0, 0] + [0, 4, 0, 4]) == bigger)
        #expect(count(Array("RIFF....WEBPVP8X........".utf8) + [0xFF, 3, 0, 0xFF, 3, 0]) == bigger)
        // 14 bits for each side less one, behind the signature.
        #expect(count(Array("RIFF....WEBPVP8L....".utf8) + [0x2F, 0xFF, 0xC3, 0xFF, 0]) == bigger)
    }

    @Test(
        arguments: [[], [1, 2, 3], Array("GIF8".utf8), [0xFF, 0xD8, 0xFF], [0xFF, 0xD8, 0xFF, 0xE0, 0, 0]] as [[UInt8]])
    func anImageOfUnknownSizeCountsTheMost(_ file: [UInt8]) {
        #expect(count(file) == TokenCount(1_445))
    }

    @Test func theRulesOfOtherModelsDiffer() {
        let size = ImageSize(width: 1_024, height: 1_024)
        #expect(ImageRule.tiles(base: 2_833, tile: 5_667).count(size) == 25_501)
        #expect(ImageRule.patches(hundredths: 162).count(size) == 1_659)
    }

    private func png(_ width: Int, _ height: Int) -> [UInt8] {
        [0x89] + Array("PNG\r\n\u{1A}\n".utf8) + [0, 0, 0, 13] + Array("IHDR".utf8) + bytes(width, 4) + bytes(height, 4)
    }

    /// With a segment before the frame, as cameras write.
    private func jpeg(_ width: Int, _ height: Int) -> [UInt8] {
        [0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 1, 2, 3, 4, 0xFF, 0xC2, 0, 17, 8] + bytes(height, 2) + bytes(width, 2)
    }

    private func bytes(_ number: Int, _ count: Int) -> [UInt8] {
        (0..<count).reversed().map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
    }

    private func base64(_ file: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        for start in stride(from: 0, to: file.count, by: 3) {
            let group = file[start..<min(start + 3, file.count)]
            let bits = group.reduce(0) { $0 << 8 | Int($1) } << ((3 - group.count) * 8)
            for place in 0...group.count { text.append(digits[bits >> (18 - place * 6) & 63]) }
            text += String(repeating: "=", count: 3 - group.count)
        }
        return text
    }
}
