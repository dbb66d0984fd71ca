import NIOCore
import OpenAIWire

/// The tokens of one part of a message's content.
struct PartTokens {
    let counter: TokenCounter

    /// OpenAI's audio models take one token for a tenth of a second of what a user says.
    private static let audioTokensPerSecond = 10
    /// Bytes for a second of speech in a compressed format, at the low rate of 32 kbit/s: fewer bytes mean more seconds.
    private static let compressedBytesPerSecond = 4_000
    /// 16 bits, 24,000 times a second: the sampling that OpenAI's audio models work with.
    private static let waveBytesPerSecond = 48_000
    /// A page of a document has about so many bytes, and its text and picture about so many tokens. Nothing is
    /// published; the margin is as much again.
    private static let (fileBytesPerPage, fileTokensPerPage) = (30_000, 1_200)

    func count(_ part: JSONValue) -> TokenCount {
        guard let object = try? part.object() else { return counter.count(text: part.text ?? part.bytes) }
        switch object["type"]?.string {
        case "image_url": return image(object.nonNull("image_url"))
        case "input_audio": return audio(object.nonNull("input_audio"))
        case "file": return file(object.nonNull("file"))
        case "refusal": return text(object.nonNull("refusal"))
        default: return object.nonNull("text").map(text) ?? counter.count(text: part.bytes)
        }
    }

    private func text(_ value: JSONValue?) -> TokenCount {
        value.map { counter.count(text: $0.text ?? $0.bytes) } ?? .zero
    }

    private func image(_ value: JSONValue?) -> TokenCount {
        let object = try? value?.object()
        let rule = counter.images
        if object?["detail"]?.string == "low" { return TokenCount(rule.lowDetail) }
        guard let size = (object?["url"] ?? value)?.text?.withUnsafeReadableBytes(ImageHeader.size) else {
            return TokenCount(rule.most)
        }
        // Whoever scales may round a side up where we round it down.
        let tokens = rule.count(size)
        return TokenCount(tokens, margin: min(rule.most - tokens, tokens / 10))
    }

    private func audio(_ value: JSONValue?) -> TokenCount {
        guard let object = try? value?.object(), let data = object["data"], data.kind == .string else { return .zero }
        let bytes = data.bytes.readableBytes / 4 * 3
        let rate = object["format"]?.string == "wav" ? Self.waveBytesPerSecond : Self.compressedBytesPerSecond
        let tokens = (bytes / rate + 1) * Self.audioTokensPerSecond
        return TokenCount(tokens, margin: tokens / 4)
    }

    /// A file that lies at the provider may be of any size: one page is assumed.
    private func file(_ value: JSONValue?) -> TokenCount {
        guard let object = try? value?.object() else { return .zero }
        let bytes = (object.nonNull("file_data")?.bytes.readableBytes ?? 0) / 4 * 3
        let tokens = (bytes / Self.fileBytesPerPage + 1) * Self.fileTokensPerPage
        return TokenCount(tokens, margin: tokens)
    }
}
