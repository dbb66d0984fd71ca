import NIOCore
import Testing

@testable import TurnpikeKit

@Suite struct OpaqueTextTests {
    private func text(_ bytes: [UInt8]) -> String { bytes.withUnsafeBytes { OpaqueText.string($0) } }

    /// What a header with this value is on the wire.
    private func line(_ value: String) -> [UInt8] {
        var buffer = ByteBuffer()
        buffer.writeField("X-A", value)
        return Array(buffer.readableBytesView)
    }

    @Test(arguments: ["", "plain", "café", "世界 😀", "\u{FFFD}", "\u{10FF00}"])
    func aValueThatIsUTF8StaysWhatItIs(_ value: String) {
        #expect(text(Array(value.utf8)) == value || value == "\u{10FF00}")
        #expect(line(text(Array(value.utf8))) == Array((value.isEmpty ? "X-A:" : "X-A: \(value)").utf8) + [13, 10])
    }

    @Test(
        arguments: [
            [0x63, 0x61, 0x66, 0xE9], [0xFF], [0x80], [0xC3], [0xE9, 0xC3, 0xA9], [0xF4, 0x8F, 0xBF, 0xA9],
            [0xF0, 0x9F, 0x98, 0x80],
            Array("\u{10FFE9} and \u{10FFFF}".utf8), Array(0x80...0xFF),
        ] as [[UInt8]])
    func anyBytesComeBack(_ bytes: [UInt8]) {
        #expect(line(text(bytes)) == Array("X-A: ".utf8) + bytes + [13, 10])
    }

    @Test func randomBytesComeBack() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 1...12, using: &random)).map { _ in
                [UInt8.random(in: 0x20...0x7E), .random(in: 0x80...0xFF), 0xF4, 0x8F, 0xBF].randomElement(
                    using: &random) ?? 0x20
            }
            #expect(line(text(bytes)) == Array("X-A: ".utf8) + bytes + [13, 10], "\(bytes)")
        }
    }

    @Test func noStringHasALineBreakOnTheWireThatItHasNotItself() {
        for scalar in (0x10FF00...0x10FFFF).compactMap(Unicode.Scalar.init) {
            #expect(!line(String(Character(scalar))).dropLast(2).contains { $0 < 0x20 })
        }
    }
}
